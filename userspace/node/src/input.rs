//! Opens what a run reads, and says which queries it cannot answer.

use crate::arguments::{InputPlan, ListenerAddress, QueryPlan};
use crate::failure::Failure;
use crate::message::say;
use crate::rules::RulePlan;
use std::path::Path;
use tapline_capture::kernel::{Rule, Verdict};
use tapline_capture::link;
use tapline_capture::live::{self, LiveError, LiveMode, LiveOptions};
use tapline_capture::{
    CaptureSet, ExportSet, IpfixListener, OpenError, TcpOptions, TemplateFile, UdpListener, UdpOptions,
};
use tapline_pipeline::{Input, KernelInput, Listener};
use tapline_query::{ContinuousQuery, Fold};
use tapline_record::{FLOWS, FlowColumn, INTERFACE_COUNTERS, PACKET_FLOWS, PACKETS, PacketColumn};
use tapline_record::{PacketFlowColumn, Stream};

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

/// The queries with the lower halves that the input answers best; of an interface, by the kernel's flow table. With
/// them, for each query, the reasons why it is not answered so.
pub(crate) fn place(
    plan: &QueryPlan,
    queries: Vec<ContinuousQuery>,
) -> (Vec<ContinuousQuery>, Vec<Vec<String>>) {
    if !matches!(plan.input, InputPlan::Interface { .. }) {
        let reasons = vec![vec![]; queries.len()];
        return (queries, reasons);
    }
    let placed = queries.iter().map(ContinuousQuery::over_packet_flows);
    placed.map(|(query, reasons)| (query, reasons.into_iter().flatten().collect())).unzip()
}

/// Opens the files, attaches to the interface, or binds the listeners.
pub(crate) fn open(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<Input, Failure> {
    let failed = |error: OpenError| Failure::Run(error.to_string());
    match &plan.input {
        InputPlan::Nothing => Err(Failure::Usage(
            "no input; give --pcap FILE, --interface IF, --exports FILE or --listen udp://HOST:PORT"
                .to_owned(),
        )),
        InputPlan::Packets(files) => Ok(Input::Packets(CaptureSet::open(files).map_err(failed)?)),
        InputPlan::Exports { files, ports } => {
            Ok(Input::Exports(ExportSet::open(files, ports).map_err(failed)?))
        }
        InputPlan::Interface { name, is_mirror, rules } => {
            open_interface(name, *is_mirror, rules, queries, plan.quiet)
        }
        InputPlan::Listen { addresses, receive_buffer_octets, state } => {
            let options =
                UdpOptions { receive_buffer_octets: *receive_buffer_octets, ..UdpOptions::default() };
            let open = |address: &ListenerAddress| {
                Ok((bind(*address, &options)?, templates_of(*address, state.as_deref())?))
            };
            Ok(Input::Listeners(addresses.iter().map(open).collect::<Result<_, Failure>>()?))
        }
    }
}

/// Attaches the program that counts, where a query reads the flow table, and a reader of packets, where one needs
/// them.
fn open_interface(
    name: &str,
    is_mirror: bool,
    plan: &RulePlan,
    queries: &[ContinuousQuery],
    is_quiet: bool,
) -> Result<Input, Failure> {
    let rules: Vec<_> = plan.read()?.into_iter().collect();
    let reads = |streams: &[&Stream]| {
        streams.iter().any(|stream| queries.iter().any(|query| query.columns_of(stream).is_some()))
    };
    let failed = |error: LiveError| Failure::Run(error.to_string());
    let reads_packets = reads(&[&PACKETS, &FLOWS]) || !reads(&[&PACKET_FLOWS]);
    let mut kernel = if reads(&[&PACKET_FLOWS]) {
        Some(Box::new(KernelInput::open(name, is_mirror, &rules, queries).map_err(failed)?))
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
    if has_copies && !plan.is_empty() {
        let message = "--allow, --deny and --rules do not hold for AF_PACKET, by which some query reads packets (--explain says \
                       which and why); write its condition into WHERE instead, or say --mirror if the port is one";
        return Err(Failure::Usage(message.to_owned()));
    }
    let is_seen_by_xdp = kernel.is_some() || !has_copies;
    let are_tags_stripped = link::offloads(name).is_some_and(|offloads| offloads.strips_vlan);
    if is_seen_by_xdp && are_tags_stripped && needs_vlan(&rules, queries) {
        say!(
            "warning: {name} may take VLAN tags away before XDP sees them: `vlan` is NULL then; \
             `ethtool -K {name} rxvlan off` mends it"
        );
    }
    let program = kernel.as_ref().map(|kernel| kernel.prefilter());
    let prefilter = program.or_else(|| frames.as_ref().and_then(|frames| frames.prefilter()));
    if let Some(prefilter) = prefilter {
        plan.follow(prefilter, is_quiet);
    }
    Ok(Input::Interface(kernel, frames))
}

/// Whether some rule or query looks at VLAN tags.
fn needs_vlan(rules: &[(Rule, Verdict)], queries: &[ContinuousQuery]) -> bool {
    let reads = |stream: &Stream, column: usize| {
        queries.iter().any(|query| query.columns_of(stream).is_some_and(|columns| columns.contains(&column)))
    };
    rules.iter().any(|(rule, _)| matches!(rule, Rule::Vlan(_)))
        || reads(&PACKET_FLOWS, PacketFlowColumn::Vlan as usize)
        || reads(&PACKETS, PacketColumn::Vlan as usize)
        || reads(&FLOWS, FlowColumn::Vlan as usize)
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
