//! Notices as messages of syslog: what they say stands in structured data, and as text.

use super::Tell;
use super::notice::Notice;
use crate::sink::Refusal;
use crate::syslog::{SyslogOptions, SyslogSink};
use serde_json::{Map, Value};
use tapline_record::EventTime;

/// What of a notice is said, the most important first: what has no room is counted in the message.
const SAID: [&str; 8] = ["state", "condition", "keys", "reason", "since", "window_end", "rows", "note"];

pub(super) struct SyslogTeller(SyslogSink);

impl SyslogTeller {
    pub(super) fn new(options: SyslogOptions) -> Self {
        Self(SyslogSink::new(options))
    }
}

impl Tell for SyslogTeller {
    fn tell(&mut self, notice: &Notice) -> Result<(), Refusal> {
        let body: Map<String, Value> =
            serde_json::from_str(&notice.body).map_err(|error| Refusal::Never(error.to_string()))?;
        let texts: Vec<(&str, String)> =
            SAID.into_iter().filter_map(|name| Some((name, text(body.get(name)?)))).collect();
        let values: Vec<(&str, &str)> =
            texts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (*name, &**text)).collect();
        self.0.say(&notice.query, EventTime(notice.decided), &values)
    }

    fn tries_max(&self) -> u32 {
        u32::MAX
    }
}

/// A value as a person reads it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notice::State;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_notice_is_one_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (severity, facility) = ("alert".parse().unwrap(), "local3".parse().unwrap());
        let target = format!("unix:{}", path.display()).parse().unwrap();
        let mut teller = SyslogTeller::new(SyslogOptions { target, severity, facility });
        let body = r#"{"state":"firing","condition":"n > 9","note":"","keys":[{"src_ip":"192.0.2.7"}]}"#;
        let (id, query) = ("sweep firing 1".to_owned(), "sweep".to_owned());
        let notice = Notice { id, query, state: State::Firing, decided: 0, tries: 0, body: body.to_owned() };
        teller.tell(&notice).unwrap();
        let mut octets = [0; 2048];
        let length = socket.recv(&mut octets).unwrap();
        let message = String::from_utf8_lossy(&octets[..length]);
        let expected = r#"[tapline@32473 query="sweep" state="firing" condition="n > 9" keys="[{\"src_ip\":\"192.0.2.7\"}\]"] sweep: state=firing condition=n > 9 keys=[{"src_ip":"192.0.2.7"}]"#;
        assert!(
            message.starts_with("<153>1 1970-01-01T00:00:00Z ") && message.ends_with(expected),
            "{message}"
        );
    }
}
