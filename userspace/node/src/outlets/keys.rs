//! Which keys a kind of sink has: a key that it has no use for is named, so that nothing is passed over.

use crate::config::SinkTable;
use tapline_catalog::nearest;

pub(super) const FILE: &str = "file";
pub(super) const POSTGRESQL: &str = "postgresql";
pub(super) const CLICKHOUSE: &str = "clickhouse";
pub(super) const KAFKA: &str = "kafka";
pub(super) const WEBHOOK: &str = "webhook";
pub(super) const COMMAND: &str = "command";
pub(super) const SYSLOG: &str = "syslog";
pub(super) const IPFIX: &str = "ipfix";

/// The kinds, and the keys that each of them takes besides `name`, `kind` and `queries`.
const KINDS: [(&str, &[&str]); 8] = [
    (FILE, &["folder", "format", "rotate_octets", "rotate_after"]),
    (POSTGRESQL, &["url", "password_file", "ca_file", "schema", "table", "spool", "spool_octets_max"]),
    (CLICKHOUSE, &["url", "password_file", "ca_file", "table", "spool", "spool_octets_max"]),
    (KAFKA, &["url", "topic", "format", "key", "spool", "spool_octets_max"]),
    (
        WEBHOOK,
        &[
            "url",
            "headers",
            "token_file",
            "ca_file",
            "time_limit",
            "by",
            "cool_down",
            "resolve_after",
            "rows_max",
        ],
    ),
    (COMMAND, &["command", "time_limit", "by", "cool_down", "resolve_after", "rows_max"]),
    (SYSLOG, &["to", "severity", "facility"]),
    (IPFIX, &["to", "observation_domain"]),
];

/// The kind of a table, which has no keys of other kinds.
pub(super) fn kind_of(table: &SinkTable) -> Result<&'static str, String> {
    let names = KINDS.map(|(name, _)| name);
    let kind = table.kind.as_deref();
    let kind = kind.ok_or_else(|| format!("it needs a kind, which is one of {}", names.join(", ")))?;
    let Some((kind, keys)) = KINDS.into_iter().find(|(known, _)| *known == kind) else {
        return Err(match nearest(kind, names.into_iter()) {
            Some(nearest) => format!("there is no kind `{kind}`; did you mean `{nearest}`?"),
            None => format!("there is no kind `{kind}`; write one of {}", names.join(", ")),
        });
    };
    match given(table).find(|key| !keys.contains(key)) {
        Some(key) => {
            let of = KINDS.into_iter().filter(|(_, keys)| keys.contains(&key)).map(|(name, _)| name);
            Err(format!("{key} is for {}; leave it out", of.collect::<Vec<_>>().join(", ")))
        }
        None => Ok(kind),
    }
}

/// The keys that a table has, of those that are not of all kinds.
fn given(table: &SinkTable) -> impl Iterator<Item = &'static str> {
    let keys = [
        ("folder", table.folder.is_some()),
        ("format", table.format.is_some()),
        ("rotate_octets", table.rotate_octets.is_some()),
        ("rotate_after", table.rotate_after.is_some()),
        ("url", table.url.is_some()),
        ("password_file", table.password_file.is_some()),
        ("ca_file", table.ca_file.is_some()),
        ("schema", table.schema.is_some()),
        ("table", table.table.is_some()),
        ("topic", table.topic.is_some()),
        ("key", table.key.is_some()),
        ("spool", table.spool.is_some()),
        ("spool_octets_max", table.spool_octets_max.is_some()),
        ("headers", table.headers.is_some()),
        ("token_file", table.token_file.is_some()),
        ("command", table.command.is_some()),
        ("time_limit", table.time_limit.is_some()),
        ("by", table.by.is_some()),
        ("cool_down", table.cool_down.is_some()),
        ("resolve_after", table.resolve_after.is_some()),
        ("rows_max", table.rows_max.is_some()),
        ("to", table.to.is_some()),
        ("severity", table.severity.is_some()),
        ("facility", table.facility.is_some()),
        ("observation_domain", table.observation_domain.is_some()),
    ];
    keys.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key)
}
