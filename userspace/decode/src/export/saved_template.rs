//! Templates that outlive the process: a line of text each.
//!
//! A line names the exporter and domain as they are told apart, what the template describes, its number and its
//! fields as `enterprise.element.length`; of options also how many of the fields are their scope:
//!
//! ```text
//! 192.0.2.1 2055 udp 9 7 data 256 0.8.4 0.12.4 0.1.8
//! 192.0.2.1 2055 udp 10 7 options:1 257 0.149.4 0.34.4
//! ```

use super::domain_key::DomainKey;
use super::template::{Element, Field, Template, TemplateKind};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A template and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTemplate {
    pub(super) key: DomainKey,
    pub(super) template: Arc<Template>,
}

/// A line that is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATemplate;

impl fmt::Display for NotATemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a template: address, port, transport, version, domain, kind, number, fields")
    }
}

impl std::error::Error for NotATemplate {}

impl fmt::Display for SavedTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.key)?;
        match self.template.kind {
            TemplateKind::Data => f.write_str("data"),
            TemplateKind::Options { scopes } => write!(f, "options:{scopes}"),
        }?;
        write!(f, " {}", self.template.id)?;
        let fields = self.template.fields.iter();
        fields
            .map(|field| (field.element.enterprise, field.element.id, field.length))
            .try_for_each(|(enterprise, element, length)| write!(f, " {enterprise}.{element}.{length}"))
    }
}

impl FromStr for SavedTemplate {
    type Err = NotATemplate;

    fn from_str(line: &str) -> Result<Self, NotATemplate> {
        parse(line).ok_or(NotATemplate)
    }
}

fn parse(line: &str) -> Option<SavedTemplate> {
    let mut words = line.split_ascii_whitespace();
    let key = DomainKey::of_words(&mut words)?;
    let kind = match words.next()? {
        "data" => TemplateKind::Data,
        options => TemplateKind::Options { scopes: options.strip_prefix("options:")?.parse().ok()? },
    };
    let id = words.next()?.parse().ok()?;
    let fields = words.map(field).collect::<Option<Vec<_>>>()?;
    Some(SavedTemplate { key, template: Arc::new(Template { id, kind, fields }) })
}

fn field(text: &str) -> Option<Field> {
    let (enterprise, rest) = text.split_once('.')?;
    let (id, length) = rest.split_once('.')?;
    let element = Element { enterprise: enterprise.parse().ok()?, id: id.parse().ok()? };
    Some(Field { element, length: length.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for line in [
            "192.0.2.1 2055 udp 9 7 data 256 0.8.4 0.12.4 0.1.8",
            "2001:db8::1 0 udp 10 0 options:1 400 4294967295.1.4 29305.2.65535",
        ] {
            assert_eq!(line.parse::<SavedTemplate>().unwrap().to_string(), line);
        }
        for line in [
            "",
            "192.0.2.1 2055 udp 9 7 data",
            "x 2055 udp 9 7 data 256",
            "1.2.3.4 1 udp 9 7 data 256 8.4",
            "192.0.2.1 2055 udp 10 7 options 256 0.149.4 0.34.4",
        ] {
            assert_eq!(line.parse::<SavedTemplate>(), Err(NotATemplate), "{line}");
        }
    }
}
