//! `tapline run`: a node.

use crate::arguments::{RunArguments, check_interfaces};
use crate::failure::Failure;
use crate::log::NodeLog;
use crate::message::say;
use crate::signals;
use crate::starting_set::STARTING_SET;
use crate::supervisor::Supervisor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_catalog::{
    Catalog, CatalogOptions, Definition, Input, Level, ListenerInput, Log, QueryFolder, StateFolder,
    interface_inputs,
};
use tapline_exports::UdpOptions;
use tapline_interface::link;
use tapline_query::FlowTable;
use tapline_serve::Server;

/// Between two looks at signals.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command.
pub(crate) fn run(arguments: &RunArguments) -> Result<(), Failure> {
    check(arguments)?;
    let signals = signals::listen()?;
    let state = arguments.state.as_deref().map(StateFolder::open).transpose().map_err(Failure::Run)?;
    let folder = state.as_ref().map(|state| QueryFolder::open(&state.queries())).transpose();
    let folder = folder.map_err(Failure::Run)?;
    let log: Log = Arc::new(NodeLog::new(arguments.reading.source_options().exports_lateness_ms()));
    let (inputs, table) = inputs_of(arguments);
    let options = CatalogOptions {
        engine: arguments.engine.options(),
        clock: arguments.reading.source_options().clock,
        queries_max: arguments.queries_max as usize,
        table,
        folder: folder.clone(),
        log: Arc::clone(&log),
    };
    let catalog = Catalog::start(options, inputs).map_err(Failure::Run)?;
    let is_first = state.as_ref().is_none_or(StateFolder::is_new);
    begin(&catalog, folder.is_some(), is_first && !arguments.bare, log.as_ref());
    let server = Server::start(arguments.api, Arc::clone(&catalog)).map_err(Failure::Run)?;
    let supervisor = Supervisor::of_environment();
    announce(&catalog, &server, arguments.state.as_deref());
    supervisor.ready();
    let started = Instant::now();
    while !signals.ends.load(Ordering::Relaxed) && arguments.r#for.is_none_or(|time| started.elapsed() < time)
    {
        if signals.reloads.swap(false, Ordering::Relaxed) {
            reload(&catalog, log.as_ref());
        }
        supervisor.stay();
        sleep(LOOK);
    }
    supervisor.stopping();
    let report = catalog.stop().map_err(Failure::Run)?;
    drop(server);
    let queries = report.snapshot.queries.len();
    say!(
        "ended; what was read is worked on, and the open windows of {queries} queries were given as partial"
    );
    Ok(())
}

fn check(arguments: &RunArguments) -> Result<(), Failure> {
    if arguments.interface.is_empty() && arguments.listen.is_empty() {
        let interfaces = link::all().unwrap_or_default();
        let names: Vec<&str> = interfaces.iter().map(|link| link.name.as_str()).collect();
        let message = format!(
            "nothing to read; give --listen udp://0.0.0.0:2055 for exports of routers, --interface IF for packets, or several \
             of them. The interfaces here are {}; `tapline doctor` says what each can do",
            names.join(", ")
        );
        return Err(Failure::Usage(message));
    }
    check_interfaces(&arguments.interface)
}

/// What is to be read, and who counts packets by flow.
fn inputs_of(arguments: &RunArguments) -> (Vec<Box<dyn Input>>, Option<FlowTable>) {
    let options = arguments.reading.source_options();
    let (mut inputs, table) = interface_inputs(&arguments.interface, arguments.mirror, &options);
    let udp = UdpOptions { receive_buffer_octets: arguments.reading.receive_buffer, ..UdpOptions::default() };
    for url in &arguments.listen {
        let (url, templates) = (url.clone(), arguments.state.clone());
        inputs.push(Box::new(ListenerInput { name: None, url, udp, templates, options: options.clone() }));
    }
    (inputs, table)
}

/// Adds the queries that a node begins with: those of its folder, or the starting set.
fn begin(catalog: &Catalog, has_folder: bool, with_starting_set: bool, log: &dyn tapline_catalog::Tell) {
    if with_starting_set {
        for (name, text) in STARTING_SET {
            let added = Definition::of_text(name, text).and_then(|query| catalog.add_if_carried(query));
            if let Err(error) = added {
                log.say(Level::Warning, &format!("{name} of the starting set is not run: {error}"));
            }
        }
    }
    if has_folder {
        reload(catalog, log);
    }
}

/// Reads the folder of queries anew.
fn reload(catalog: &Catalog, log: &dyn tapline_catalog::Tell) {
    match catalog.reload() {
        Ok(reloaded) => {
            for (what, names) in
                [("added", &reloaded.added), ("replaced", &reloaded.replaced), ("dropped", &reloaded.dropped)]
            {
                names.iter().for_each(|name| log.say(Level::Info, &format!("{name} is {what}")));
            }
            reloaded.refused.iter().for_each(|refused| log.say(Level::Warning, refused));
        }
        Err(error) => log.say(Level::Warning, &error.to_string()),
    }
}

/// Says what runs, and what to do next.
fn announce(catalog: &Catalog, server: &Server, state: Option<&Path>) {
    let snapshot = catalog.snapshot();
    let names: Vec<&str> = snapshot.sources.iter().map(|source| source.name.as_str()).collect();
    say!(
        "reading {} with {} queries; the API is at http://{}",
        names.join(", "),
        snapshot.queries.len(),
        server.address()
    );
    if state.is_none() {
        say!("without --state DIR, queries that are added are forgotten at the end");
    }
    say!("next: tapline status; tapline queries list; tapline queries watch NAME");
}
