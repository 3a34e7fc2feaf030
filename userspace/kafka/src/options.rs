//! Where messages go, and how they look.

/// What a topic is called, where nothing is said.
const TOPIC: &str = "tapline.{query}";
/// What stands for the name of a query in it.
const QUERY: &str = "{query}";
const DEFAULT_PORT: &str = "9092";
/// Octets of a topic's name.
const TOPIC_OCTETS_MAX: usize = 249;

/// How results stand in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// A message a row: an object.
    Json,
    /// A message for many rows: an Arrow IPC stream, in types that every engine reads.
    Arrow,
}

/// By what messages are keyed, and so put into partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKey {
    /// The columns by which the query groups, as an object; the window where there are none, or rows are together.
    Keys,
    /// The window.
    Window,
}

/// Where messages go, and how they look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Hosts with ports, with commas between them.
    pub(crate) brokers: String,
    /// The topic of a query.
    topic: String,
    pub(crate) format: MessageFormat,
    pub(crate) key: MessageKey,
}

impl KafkaOptions {
    /// The brokers that a URL names; `{query}` in `topic` stands for the name of the query.
    ///
    /// # Errors
    /// A sentence: what is wrong with these.
    pub fn new(
        url: &str,
        topic: Option<&str>,
        format: MessageFormat,
        key: MessageKey,
    ) -> Result<Self, String> {
        const RIGHT: &str = "write kafka://HOST:9092,HOST:9092";
        let Some(brokers) = url.strip_prefix("kafka://") else {
            return Err(format!("url: it does not begin with kafka://; {RIGHT}"));
        };
        if brokers.contains('@') {
            return Err(format!("url: users and passwords are not spoken of with Kafka here; {RIGHT}"));
        }
        let brokers = brokers.trim_end_matches('/').split(',').map(with_port).collect::<Option<Vec<_>>>();
        let brokers =
            brokers.ok_or_else(|| format!("url: it names no broker, or not all of them; {RIGHT}"))?;
        let topic = topic.unwrap_or(TOPIC);
        let is_fine =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        let rest = topic.replace(QUERY, "");
        if topic.is_empty() || topic.len() > TOPIC_OCTETS_MAX || !rest.chars().all(is_fine) {
            return Err(format!(
                "topic: `{topic}` is no topic; take letters, digits, ., _ and -, such as {TOPIC}"
            ));
        }
        Ok(Self { brokers: brokers.join(","), topic: topic.to_owned(), format, key })
    }

    /// The topic of a query.
    pub(crate) fn topic(&self, query: &str) -> String {
        self.topic.replace(QUERY, query)
    }
}

/// A host with a port; `None` where it has none.
fn with_port(broker: &str) -> Option<String> {
    let has_port = broker.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit())
    });
    let is_host = !broker.is_empty() && !broker.contains(['/', '?', ' ']);
    let whole = || if has_port { broker.to_owned() } else { format!("{broker}:{DEFAULT_PORT}") };
    (is_host && (has_port || !broker.contains(':') || broker.ends_with(']'))).then(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, topic: Option<&str>) -> Result<KafkaOptions, String> {
        KafkaOptions::new(url, topic, MessageFormat::Json, MessageKey::Keys)
    }

    #[test]
    fn brokers_have_the_port_that_is_not_said() {
        let options = of("kafka://a,b:9093,[::1]/", None).unwrap();
        assert_eq!(options.brokers, "a:9092,b:9093,[::1]:9092");
        assert_eq!(options.topic("top-talkers"), "tapline.top-talkers");
        assert_eq!(of("kafka://a", Some("all")).unwrap().topic("x"), "all");
        for (url, topic, expected) in [
            ("a:9092", None, "url: it does not begin with kafka://"),
            ("kafka://", None, "url: it names no broker"),
            ("kafka://a:9092,", None, "url: it names no broker"),
            ("kafka://a:x", None, "url: it names no broker"),
            ("kafka://u:open-sesame@a", None, "url: users and passwords are not spoken of"),
            ("kafka://a", Some("a b"), "topic: `a b` is no topic"),
            ("kafka://a", Some(""), "topic: `` is no topic"),
        ] {
            let wrong = of(url, topic).unwrap_err();
            assert!(wrong.starts_with(expected) && !wrong.contains("sesame"), "{url}: {wrong}");
        }
    }
}
