//! Opens what a run reads, and says which queries it cannot answer.

use crate::arguments::{InputPlan, ListenerAddress, ListenerPlan, QueryPlan};
use crate::failure::Failure;
use crate::message::say;
use crate::rules::RulePlan;
use crate::summary::Accounts;
use crate::tags;
use std::path::Path;
use tapline_capture::link::{self, Tampering};
use tapline_capture::live::{self, FrameSource, LiveError, LiveMode, LiveOptions};
use tapline_capture::{
    CaptureSet, ExportSet, IpfixListener, OpenError, TcpOptions, TemplateFile, UdpListener, UdpOptions,
};
use tapline_pipeline::demand_of;
use tapline_query::{ContinuousQuery, Fold};
use tapline_record::{INTERFACE_COUNTERS, PACKETS, StreamId};
use tapline_sources::{
    Demand, ExportSource, KernelInput, KernelSource, Listener, PacketSource, Source, SourceOptions,
    disorder_ns,
};

/// Refuses queries over streams that the input does not have, and live aggregates that would never end.
pub(crate) fn check(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<(), Failure> {
    let has_packets =
        matches!(plan.input, InputPlan::Packets(_) | InputPlan::Interface { .. } | InputPlan::Nothing);
    let is_live = plan.input.is_live();
    for ((name, _), query) in plan.queries.iter().zip(queries) {
        if !has_packets && query.columns_of(&PACKETS).is_some() {
            let message =
                format!("{name}: flow exports hold no packets; ask the table flows, or give --pcap FILE");
            return Err(Failure::Usage(message));
        }
        if has_packets && query.columns_of(&INTERFACE_COUNTERS).is_some() {
            let message = format!(
                "{name}: packets hold no interface counters; give sFlow by --exports FILE or --listen udp://HOST:PORT"
            );
            return Err(Failure::Usage(message));
        }
        if is_live && query.window.is_none() && has_aggregate(query) {
            let message = format!(
                "{name}: a live source never ends, so an aggregate over it needs a window; add to GROUP BY: tumble('60 seconds')"
            );
            return Err(Failure::Usage(message));
        }
    }
    Ok(())
}

/// Refuses `--windows` where no query has any, and rules that cannot be read.
pub(crate) fn check_flags(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<(), Failure> {
    if plan.windows.is_some() && queries.iter().all(|query| query.window.is_none()) {
        let message = "--windows counts windows, and no query has any; add to GROUP BY: tumble('60 seconds')";
        return Err(Failure::Usage(message.to_owned()));
    }
    match &plan.input {
        InputPlan::Interface { rules, .. } => rules.read().map(drop),
        _ => Ok(()),
    }
}

fn has_aggregate(query: &ContinuousQuery) -> bool {
    query.lowers.iter().any(|lower| matches!(lower.fold, Fold::Aggregate(_)))
}

/// The queries with the lower halves that the input answers best; of an interface, by the kernel's flow table, if the
/// program can read its frames. With them, for each query, the reasons why it is not answered so.
pub(crate) fn place(
    plan: &QueryPlan,
    queries: Vec<ContinuousQuery>,
) -> (Vec<ContinuousQuery>, Vec<Vec<String>>) {
    let InputPlan::Interface { name, .. } = &plan.input else {
        let reasons = vec![vec![]; queries.len()];
        return (queries, reasons);
    };
    // What is wrong with an interface that is not found shows when it is opened.
    if let Ok(Some(Err(reason))) = link::find(name).map(|link| link.map(|link| link.check_xdp())) {
        let reasons = vec![vec![reason]; queries.len()];
        return (queries, reasons);
    }
    let placed = queries.iter().map(ContinuousQuery::over_packet_flows);
    placed.map(|(query, reasons)| (query, reasons.into_iter().flatten().collect())).unzip()
}

/// What a run reads.
pub(crate) struct Opened {
    pub(crate) sources: Vec<Box<dyn Source>>,
    /// Where they tell their accounts.
    pub(crate) accounts: Accounts,
    /// How far the records of files lie behind the latest one, in nanoseconds, where that was measured.
    pub(crate) disorder_ns: Option<i64>,
}

/// Opens the files, attaches to the interface, or binds the listeners.
pub(crate) fn open(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<Opened, Failure> {
    let failed = |error: OpenError| Failure::Run(error.to_string());
    let (demand, options) = (demand_of(queries), &plan.source_options);
    match &plan.input {
        InputPlan::Nothing => Err(Failure::Usage(
            "no input; give --pcap FILE, --interface IF, --exports FILE or --listen udp://HOST:PORT"
                .to_owned(),
        )),
        InputPlan::Packets(files) => {
            Ok(open_packets(CaptureSet::open(files).map_err(failed)?, &demand, options))
        }
        InputPlan::Exports { files, ports } => {
            Ok(open_exports(ExportSet::open(files, ports).map_err(failed)?, &demand, options))
        }
        InputPlan::Interface { name, is_mirror, rules } => {
            open_interface(name, *is_mirror, rules, queries, plan)
        }
        InputPlan::Listen { listeners, receive_buffer_octets, state } => {
            let udp = UdpOptions { receive_buffer_octets: *receive_buffer_octets, ..UdpOptions::default() };
            let open = |listener: &ListenerPlan| {
                let templates = templates_of(listener.address, state.as_deref())?;
                let source = ExportSource::of_listener(bind(listener.address, &udp)?, templates, options);
                Ok(match listener.name() {
                    Some(name) => source.named(name),
                    None => source,
                })
            };
            let sources = listeners.iter().map(open).collect::<Result<Vec<_>, Failure>>()?;
            Ok(of_exports(sources, None))
        }
    }
}

/// The files, whose packets are read twice where some query has windows: first for how far they lie behind.
fn open_packets(files: CaptureSet, demand: &Demand, options: &SourceOptions) -> Opened {
    let scan = demand.has_panes().then(|| files.scan_times()).flatten();
    let disorder_ns = scan.map(|scan| scan.disorder_ns);
    let lateness_ns = disorder_ns.unwrap_or_else(|| options.packets_lateness_ns());
    let source = PacketSource::of_files(files, lateness_ns, options);
    let accounts = Accounts::Packets(source.reported());
    Opened { sources: vec![Box::new(source)], accounts, disorder_ns }
}

/// Likewise for exports.
fn open_exports(files: ExportSet, demand: &Demand, options: &SourceOptions) -> Opened {
    let again = demand.has_panes().then(|| files.again()).flatten();
    let disorder_ns = again.map(|files| disorder_ns(files, options.exports));
    let lateness_ns = disorder_ns.unwrap_or_else(|| options.exports_lateness_ns());
    of_exports(vec![ExportSource::of_files(files, lateness_ns, options)], disorder_ns)
}

fn of_exports(sources: Vec<ExportSource>, disorder_ns: Option<i64>) -> Opened {
    let accounts = Accounts::Exports(sources.iter().map(ExportSource::reported).collect());
    let boxed = sources.into_iter().map(|source| Box::new(source) as Box<dyn Source>);
    Opened { sources: boxed.collect(), accounts, disorder_ns }
}

/// Attaches the program that counts, where a query reads the flow table, and a reader of packets, where one needs
/// them.
fn open_interface(
    name: &str,
    is_mirror: bool,
    rule_plan: &RulePlan,
    queries: &[ContinuousQuery],
    plan: &QueryPlan,
) -> Result<Opened, Failure> {
    let rules: Vec<_> = rule_plan.read()?.into_iter().collect();
    let demand = demand_of(queries);
    let reads = |streams: &[StreamId]| streams.iter().any(|stream| demand.columns(*stream).is_some());
    let failed = |error: LiveError| Failure::Run(error.to_string());
    let reads_packets = reads(&[StreamId::Packets, StreamId::Flows]) || !reads(&[StreamId::PacketFlows]);
    let mut kernel = if reads(&[StreamId::PacketFlows]) {
        Some(KernelInput::open(name, is_mirror, &rules, &demand).map_err(failed)?)
    } else {
        None
    };
    let mut options =
        LiveOptions { is_mirror, is_promiscuous: true, is_receive_only: true, ..LiveOptions::default() };
    options.kernel.rules.clone_from(&rules);
    let frames = match &mut kernel {
        _ if !reads_packets => None,
        Some(kernel) => Some(kernel.open_packets(&options).map_err(failed)?),
        None => Some(live::open(name, &options).map_err(failed)?),
    };
    let has_copies = frames.as_ref().is_some_and(|frames| frames.description().mode == LiveMode::Packet);
    if has_copies && !rule_plan.is_empty() {
        let message = "--allow, --deny and --rules do not hold for AF_PACKET, by which some query reads packets (--explain says \
                       which and why); write its condition into WHERE instead, or say --mirror if the port is one";
        return Err(Failure::Usage(message.to_owned()));
    }
    let is_read_by_xdp = frames.as_ref().is_some_and(|frames| frames.description().mode != LiveMode::Packet);
    let hidden = link::find(name).ok().flatten().and_then(|link| link::hidden_tags(&link));
    if let Some((hidden, places)) = hidden.zip(tags::left_out_of(&rules, queries, is_read_by_xdp)) {
        let Tampering { what, mend } = hidden;
        say!("warning: VLAN tags may be left out of account in {places}: {what}; to mend it: {mend}");
    }
    let program = kernel.as_ref().map(KernelInput::prefilter);
    let prefilter = program.or_else(|| frames.as_ref().and_then(|frames| frames.prefilter()));
    if let Some(prefilter) = prefilter {
        rule_plan.follow(prefilter, plan.quiet);
    }
    Ok(of_interface(kernel, frames, &plan.source_options))
}

fn of_interface(
    kernel: Option<KernelInput>,
    frames: Option<Box<dyn FrameSource>>,
    options: &SourceOptions,
) -> Opened {
    let table = kernel.map(|input| KernelSource::new(input, options));
    let packets = frames.map(|frames| PacketSource::of_interface(frames, options));
    let accounts = Accounts::Interface {
        kernel: table.as_ref().map(KernelSource::reported),
        frames: packets.as_ref().map(PacketSource::reported),
    };
    let table = table.map(|source| Box::new(source) as Box<dyn Source>);
    let packets = packets.map(|source| Box::new(source) as Box<dyn Source>);
    Opened { sources: table.into_iter().chain(packets).collect(), accounts, disorder_ns: None }
}

fn bind(address: ListenerAddress, options: &UdpOptions) -> Result<Listener, Failure> {
    let listener = match address {
        ListenerAddress::Udp(address) => UdpListener::bind(address, options).map(Listener::Udp),
        ListenerAddress::Tcp(address) => {
            IpfixListener::bind(address, &TcpOptions::default()).map(Listener::Tcp)
        }
    };
    listener.map_err(|error| Failure::Run(error.to_string()))
}

/// The file of a listener's templates; those of connections end with them.
fn templates_of(address: ListenerAddress, state: Option<&Path>) -> Result<Option<TemplateFile>, Failure> {
    let (ListenerAddress::Udp(address), Some(folder)) = (address, state) else { return Ok(None) };
    let name = format!("templates-udp-{}", address.port());
    let file = TemplateFile::in_folder(folder, &name);
    file.map(Some).map_err(|error| Failure::Run(format!("--state {}: {error}", folder.display())))
}
