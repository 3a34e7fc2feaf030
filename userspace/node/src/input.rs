//! Opens what a run reads, and says which queries it cannot answer.

use crate::arguments::{InputPlan, LivePlan, QueryPlan};
use crate::failure::Failure;
use crate::frame_filter::FrameFilter;
use crate::message::say;
use crate::summary::Telling;
use crate::tags;
use std::fmt::Display;
use std::path::Path;
use tapline_capture::CaptureSet;
use tapline_engine::demand_of;
use tapline_exports::{ExportSet, ListenerUrl, TemplateFile, UdpOptions};
use tapline_interface::kernel::{Rule, Verdict};
use tapline_interface::link::{self, Tampering};
use tapline_interface::live::{self, FrameSource, LiveError, LiveMode, LiveOptions};
use tapline_query::{ContinuousQuery, FlowTable};
use tapline_record::{FLOWS, INTERFACE_COUNTERS, PACKET_FLOWS, PACKETS, StreamId};
use tapline_sources::{
    Demand, ExportSource, KernelInput, KernelSource, Listener, PacketSource, Source, SourceOptions,
    disorder_ns,
};

/// What is said of readers of an interface that is no mirror port.
pub(crate) const READERS_OF_MIRRORS: &str = "--readers share out the queues of a mirror port; say --mirror if the port is one, or leave --readers out";

/// Refuses queries over streams that the input does not have, and live aggregates that would never end.
pub(crate) fn check(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<(), Failure> {
    let (has_packets, has_exports) = (plan.input.has_packets(), plan.input.has_exports());
    let is_live = plan.input.is_live();
    for ((name, _), query) in plan.queries.iter().zip(queries) {
        if !has_packets && query.columns_of(&PACKETS).is_some() {
            let message =
                format!("{name}: flow exports hold no packets; ask the table flows, or give --pcap FILE");
            return Err(Failure::Usage(message));
        }
        if !has_exports && query.columns_of(&INTERFACE_COUNTERS).is_some() {
            let message = format!(
                "{name}: packets hold no interface counters; give sFlow by --exports FILE or --listen udp://HOST:PORT"
            );
            return Err(Failure::Usage(message));
        }
        if is_live {
            query.check_live().map_err(|message| Failure::Usage(format!("{name}: {message}")))?;
        }
    }
    Ok(())
}

/// Refuses `--windows` where no query has any, `--filter` where not all are frames, readers where there is no mirror port, and
/// rules that cannot be read.
pub(crate) fn check_flags(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<(), Failure> {
    if plan.windows.is_some() && queries.iter().all(|query| query.window.is_none()) {
        let message = "--windows counts windows, and no query has any; add to GROUP BY: tumble('60 seconds')";
        return Err(Failure::Usage(message.to_owned()));
    }
    match &plan.input {
        InputPlan::Live(live) if plan.filter.is_some() && !live.listeners.is_empty() => {
            let message = "--filter looks at frames, and flow exports hold none; ask listeners in a run of their own, or \
                           write the condition into WHERE instead";
            Err(Failure::Usage(message.to_owned()))
        }
        InputPlan::Live(live) if live.readers.is_some() && !live.is_mirror => {
            Err(Failure::Usage(READERS_OF_MIRRORS.to_owned()))
        }
        InputPlan::Live(live) => live.rules.read().map(drop),
        InputPlan::Nothing | InputPlan::Packets(_) | InputPlan::Exports { .. } => Ok(()),
    }
}

/// The queries with the lower halves that the input answers best: from packets that are counted by flow, of interfaces
/// by the kernel, if its program can read the frames of each and some query asks for no more than it counts, else by
/// whoever reads them. With them, for each query on interfaces, the reasons why the kernel does not answer it.
pub(crate) fn place(
    plan: &QueryPlan,
    queries: &[ContinuousQuery],
) -> (Vec<ContinuousQuery>, Vec<Vec<String>>) {
    if plan.input.interfaces().is_empty() {
        let reasons = vec![vec![]; queries.len()];
        return (over_cache(queries), reasons);
    }
    if let Some(reason) = why_no_table(plan) {
        let reasons = vec![vec![reason]; queries.len()];
        return (told_to_kernel(plan, over_cache(queries)), reasons);
    }
    let has_exports = plan.input.has_exports();
    let (by_kernel, reasons) = over(queries, |query| match has_exports {
        true => query.over_packet_flows_beside_flows(FlowTable::Kernel),
        false => query.over_packet_flows(FlowTable::Kernel),
    });
    let counts_in_kernel = by_kernel.iter().any(|query| query.flow_table.is_some());
    (told_to_kernel(plan, if counts_in_kernel { by_kernel } else { over_cache(queries) }), reasons)
}

/// Why no query can be answered from what the kernel counts, where that is so.
fn why_no_table(plan: &QueryPlan) -> Option<String> {
    // What is not the same of all frames of a flow is counted together.
    let column = plan.filter.as_ref().and_then(FrameFilter::not_of_flows);
    let by_filter = column.map(|column| format!("--filter looks at {column} of each frame"));
    // What is wrong with an interface that is not found shows when it is opened.
    let refusal = |name: &String| link::find(name).ok().flatten()?.check_xdp().err();
    let by_kernel = || plan.input.directions().check_kernel().err();
    by_filter.or_else(by_kernel).or_else(|| plan.input.interfaces().iter().find_map(refusal))
}

/// The queries of which the kernel is told what they need, where a program of XDP counts or redirects.
fn told_to_kernel(plan: &QueryPlan, queries: Vec<ContinuousQuery>) -> Vec<ContinuousQuery> {
    let (is_mirror, has_received) = (plan.input.is_mirror(), plan.input.directions().has_received());
    queries.into_iter().map(|query| query.told_to_kernel(is_mirror, has_received)).collect()
}

/// The queries over the flow cache where they can be, if several can: what one query saves by it, the thread that reads
/// packets has to do more.
fn over_cache(queries: &[ContinuousQuery]) -> Vec<ContinuousQuery> {
    let (cached, _) = over(queries, |query| query.over_packet_flows(FlowTable::Cache));
    let is_shared = cached.iter().filter(|query| query.flow_table.is_some()).count() > 1;
    if is_shared { cached } else { queries.to_vec() }
}

/// The queries over a table of flows where they can be, and the reasons why the others cannot.
fn over(
    queries: &[ContinuousQuery],
    place: impl Fn(&ContinuousQuery) -> (ContinuousQuery, Vec<Option<String>>),
) -> (Vec<ContinuousQuery>, Vec<Vec<String>>) {
    let placed = queries.iter().map(place);
    placed.map(|(query, reasons)| (query, reasons.into_iter().flatten().collect())).unzip()
}

/// Says by what sent frames are read, and what one is, where some are; a line for each way in which queries read them.
pub(crate) fn describe_directions(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Option<String> {
    let directions = plan.input.directions();
    if !directions.has_sent() || plan.input.interfaces().is_empty() {
        return None;
    }
    let is_by_kernel = |query: &ContinuousQuery| query.flow_table == Some(FlowTable::Kernel);
    let received = if directions.has_received() { "frames that are received by XDP, " } else { "" };
    let lines = [
        queries.iter().any(is_by_kernel).then(|| {
            format!("the kernel counts {received}frames that are sent by tcx, as many as they are cut into\n")
        }),
        (!queries.iter().all(is_by_kernel)).then(|| {
            "packets that are sent are read through AF_PACKET: one that the interface cuts later is one row\n".to_owned()
        }),
    ];
    Some(lines.into_iter().flatten().collect())
}

/// Refuses files that cannot be opened.
pub(crate) fn check_files(plan: &QueryPlan) -> Result<(), Failure> {
    match &plan.input {
        InputPlan::Packets(files) => CaptureSet::open(files).map(drop).map_err(failed),
        InputPlan::Exports { files, ports } => ExportSet::open(files, ports).map(drop).map_err(failed),
        InputPlan::Nothing | InputPlan::Live(_) => Ok(()),
    }
}

/// What a run reads.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) sources: Vec<Box<dyn Source>>,
    /// Where they tell their accounts, in the same order.
    pub(crate) accounts: Vec<Telling>,
    /// How far the records of files lie behind the latest one, in nanoseconds, where that was measured.
    pub(crate) disorder_ns: Option<i64>,
}

impl Opened {
    fn add(&mut self, source: impl Source + 'static, account: Telling) {
        self.sources.push(Box::new(source));
        self.accounts.push(account);
    }

    fn add_packets(&mut self, source: PacketSource) {
        let account = Telling::Packets(source.reported());
        self.add(source, account);
    }

    fn add_table(&mut self, source: KernelSource) {
        let account = Telling::Table(source.reported());
        self.add(source, account);
    }

    fn add_exports(&mut self, source: ExportSource) {
        let account = Telling::Exports(source.reported());
        self.add(source, account);
    }
}

fn failed(error: impl Display) -> Failure {
    Failure::Run(error.to_string())
}

/// Opens the files, or attaches to the interfaces and binds the listeners.
pub(crate) fn open(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<Opened, Failure> {
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
        InputPlan::Live(live) => {
            let mut opened = Opened::default();
            for name in &live.interfaces {
                open_interface(name, live, queries, plan, &mut opened)?;
            }
            for listener in &live.listeners {
                opened.add_exports(open_listener(listener, live, options)?);
            }
            Ok(opened)
        }
    }
}

/// The files, whose packets are read twice where some query has windows: first for how far they lie behind.
fn open_packets(files: CaptureSet, demand: &Demand, options: &SourceOptions) -> Opened {
    let scan = demand.has_panes().then(|| files.scan_times()).flatten();
    let disorder_ns = scan.map(|scan| scan.disorder_ns);
    let lateness_ns = disorder_ns.unwrap_or_else(|| options.packets_lateness_ns());
    let mut opened = Opened { disorder_ns, ..Opened::default() };
    opened.add_packets(PacketSource::of_files(files, lateness_ns, options));
    opened
}

/// The files of exports, which are read twice where some query has windows, as captures are.
fn open_exports(files: ExportSet, demand: &Demand, options: &SourceOptions) -> Opened {
    let again = demand.has_panes().then(|| files.again()).flatten();
    let disorder_ns = again.map(|files| disorder_ns(files, options.exports));
    let lateness_ns = disorder_ns.unwrap_or_else(|| options.exports_lateness_ns());
    let mut opened = Opened { disorder_ns, ..Opened::default() };
    opened.add_exports(ExportSource::of_files(files, lateness_ns, options));
    opened
}

/// Binds a listener.
fn open_listener(
    listener: &ListenerUrl,
    live: &LivePlan,
    options: &SourceOptions,
) -> Result<ExportSource, Failure> {
    let udp = UdpOptions { receive_buffer_octets: live.receive_buffer_octets, ..UdpOptions::default() };
    let templates = templates_of(listener, live.state.as_deref())?;
    let bound = Listener::bind(listener.address, &udp).map_err(failed)?;
    let source = ExportSource::of_listener(bound, templates, options);
    Ok(match listener.name() {
        Some(name) => source.named(name),
        None => source,
    })
}

/// Opens what reads an interface: the program that counts, where a query reads the flow table, and a reader of packets,
/// where one needs them.
fn open_interface(
    name: &str,
    live: &LivePlan,
    queries: &[ContinuousQuery],
    plan: &QueryPlan,
    opened: &mut Opened,
) -> Result<(), Failure> {
    let rules: Vec<_> = live.rules.read()?.into_iter().collect();
    if let Ok(Some(link)) = link::find(name) {
        live.directions.check(&link).map_err(Failure::Usage)?;
    }
    let counts_in_kernel = queries.iter().any(|query| query.flow_table == Some(FlowTable::Kernel));
    let attached = attach(name, live, &rules, &demand_of(queries), counts_in_kernel);
    let (kernel, frames) = attached.map_err(|error| Failure::Run(error.to_string()))?;
    let mode = frames.as_ref().map(|frames| frames.description().mode);
    if mode == Some(LiveMode::Packet) && !live.rules.is_empty() {
        let message = "--allow, --deny and --rules do not hold for AF_PACKET, by which some query reads packets (--explain says \
                       which and why); write its condition into WHERE instead, or say --mirror if the port is one";
        return Err(Failure::Usage(message.to_owned()));
    }
    let is_read_by_xdp = mode.is_some_and(|mode| mode != LiveMode::Packet);
    let filter = plan.filter.as_ref().map(FrameFilter::predicate);
    let places = tags::left_out_of(&rules, queries, filter.as_deref(), is_read_by_xdp);
    let card = kernel.as_ref().map(KernelInput::card);
    let card = card.or_else(|| frames.as_ref().map(|frames| &frames.description().card));
    // The program that counts what is sent finds the tags beside the packets.
    let are_hidden = |_: &String| live.directions.has_received() && card.is_none_or(|card| !card.tags);
    warn_of_hidden_tags(name, places.filter(are_hidden));
    let program = kernel.as_ref().map(KernelInput::prefilter);
    if let Some(prefilter) = program.or_else(|| frames.as_ref()?.prefilter()) {
        live.rules.follow(prefilter, plan.quiet);
    }
    let is_beside_table = kernel.is_some();
    if let Some(input) = kernel {
        opened.add_table(KernelSource::new(input, &plan.source_options));
    }
    let readers = frames.map(|frames| frames.share_out(readers_of(live, queries, plan))).unwrap_or_default();
    let sources = PacketSource::of_interface(readers, is_beside_table, &plan.source_options);
    sources.into_iter().for_each(|source| opened.add_packets(source));
    Ok(())
}

/// Threads that may share the queues of an interface out: one where flows are metered from its packets, of which some
/// may come on one queue and some on another.
fn readers_of(live: &LivePlan, queries: &[ContinuousQuery], plan: &QueryPlan) -> usize {
    if queries.iter().any(|query| query.columns_of(&FLOWS).is_some()) {
        return 1;
    }
    let sources = live.interfaces.len() + live.listeners.len();
    live.readers.map_or_else(|| plan.options.readers(sources), usize::from)
}

/// Says how many threads read the packets of mirror ports with several queues, where some query reads them.
pub(crate) fn describe_readers(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Option<String> {
    let InputPlan::Live(live) = &plan.input else { return None };
    let reads = |stream| queries.iter().any(|query| query.columns_of(stream).is_some());
    let is_by_kernel = queries.iter().any(|query| query.flow_table == Some(FlowTable::Kernel));
    let are_read = reads(&PACKETS) || reads(&FLOWS) || reads(&PACKET_FLOWS) && !is_by_kernel;
    if !live.is_mirror || !are_read {
        return None;
    }
    let readers = readers_of(live, queries, plan);
    let why = if reads(&FLOWS) { ", as flows are metered from them" } else { "" };
    let several = live.interfaces.iter().map(|name| (name, live::receive_queues(name)));
    let lines = several.filter(|(_, queues)| *queues > 1).map(|(name, queues)| match readers.min(queues) {
        1 => format!("packets of {name} are read by one thread{why}, on all of {queues} queues\n"),
        by => format!("packets of {name} are read by {by} threads, which share out {queues} queues\n"),
    });
    Some(lines.collect::<String>()).filter(|lines| !lines.is_empty())
}

/// What reads an interface: the program that counts, and a reader of packets.
type Attached = (Option<KernelInput>, Option<Box<dyn FrameSource>>);

/// Attaches to an interface what the queries need of it; some of them may read what the kernel counts.
fn attach(
    name: &str,
    live: &LivePlan,
    rules: &[(Rule, Verdict)],
    demand: &Demand,
    counts_in_kernel: bool,
) -> Result<Attached, LiveError> {
    let reads = |streams: &[StreamId]| streams.iter().any(|stream| demand.columns(*stream).is_some());
    let (is_mirror, directions) = (live.is_mirror, live.directions);
    let open_table = || KernelInput::open(name, (is_mirror, directions), rules, demand);
    let mut kernel = counts_in_kernel.then(open_table).transpose()?;
    if counts_in_kernel && !reads(&[StreamId::Packets, StreamId::Flows]) {
        return Ok((kernel, None));
    }
    let mut options = LiveOptions { is_mirror, is_promiscuous: true, directions, ..LiveOptions::default() };
    options.kernel.rules = rules.to_vec();
    let frames = match &mut kernel {
        Some(kernel) => kernel.open_packets(&options)?,
        None => live::open(name, &options)?,
    };
    Ok((kernel, Some(frames)))
}

/// Says what of the answers looks at VLAN tags that XDP does not see, if these places do.
pub(crate) fn warn_of_hidden_tags(name: &str, places: Option<String>) {
    let hidden = link::find(name).ok().flatten().and_then(|link| link::hidden_tags(&link));
    if let Some((hidden, places)) = hidden.zip(places) {
        let Tampering { what, mend } = hidden;
        say!("warning: VLAN tags may be left out of account in {places}: {what}; to mend it: {mend}");
    }
}

/// The file of a listener's templates, where they are kept.
fn templates_of(listener: &ListenerUrl, state: Option<&Path>) -> Result<Option<TemplateFile>, Failure> {
    let Some(folder) = state else { return Ok(None) };
    let said = |error| Failure::Run(format!("--state {}: {error}", folder.display()));
    listener.templates(folder).map_err(said)
}
