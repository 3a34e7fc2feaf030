//! A listener for flow exports, as an input.

use crate::input::{Gap, Input};
use std::path::PathBuf;
use tapline_exports::{ListenerAddress, ListenerUrl, TemplateFile, UdpOptions};
use tapline_record::{FLOWS, INTERFACE_COUNTERS, Stream, StreamId};
use tapline_sources::{Demand, ExportSource, Listener, Source, SourceOptions};

/// A listener for flow exports. It listens all the time: templates are learnt, and gaps are seen, whatever is asked.
#[derive(Clone, Debug)]
pub struct ListenerInput {
    /// What its rows name as their source; `None` for the URL.
    pub name: Option<String>,
    /// Where to listen.
    pub url: ListenerUrl,
    /// How its socket is set up.
    pub udp: UdpOptions,
    /// Where templates are kept.
    pub templates: Option<PathBuf>,
    /// How exports are read.
    pub options: SourceOptions,
    /// Where an earlier run was, behind which it goes on when it is opened next.
    pub behind: Option<String>,
}

impl ListenerInput {
    /// Where templates and numbers of exporters are kept.
    fn template_file(&self) -> Result<Option<TemplateFile>, String> {
        let file = self.templates.as_deref().map(|folder| self.url.templates(folder)).transpose()?;
        Ok(file.flatten().map(TemplateFile::with_numbers))
    }
}

impl Input for ListenerInput {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.url.url.clone())
    }

    fn identity(&self) -> String {
        // Where it goes on is no part of how it reads.
        format!("{:?}", Self { behind: None, ..self.clone() })
    }

    fn kind(&self) -> &'static str {
        "flow exports"
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![&FLOWS, &INTERFACE_COUNTERS]
    }

    fn is_on_demand(&self) -> bool {
        false
    }

    fn lateness_ns(&self) -> i64 {
        self.options.exports_lateness_ns()
    }

    fn gap(&self, _: Option<&str>) -> Gap {
        let has_numbers = matches!(self.template_file(), Ok(Some(file)) if file.has_numbers());
        if has_numbers { Gap::Told } else { Gap::Unknown }
    }

    fn go_on_from(&mut self, position: &str) {
        self.behind = Some(position.to_owned());
    }

    fn gap_behind(&self, _: StreamId) -> Gap {
        // What waited in connections went with them, and nothing numbers it.
        let is_numbered = matches!(self.url.address, ListenerAddress::Udp(_));
        if self.behind.is_some() && is_numbered { Gap::Told } else { Gap::Unknown }
    }

    fn open(&mut self, _: &Demand) -> Result<Vec<Box<dyn Source>>, String> {
        let listener = Listener::bind(self.url.address, &self.udp).map_err(|error| error.to_string())?;
        let source = ExportSource::of_listener(listener, self.template_file()?, &self.options);
        let source = match self.behind.take() {
            Some(position) => source.resuming(position),
            None => source,
        };
        let name = self.name.clone().or_else(|| self.url.name());
        let source = match name {
            Some(name) => source.named(name),
            None => source,
        };
        Ok(vec![Box::new(source)])
    }
}
