//! Opens what a run reads, and says which queries it cannot answer.

use crate::arguments::{InputPlan, ListenerAddress, QueryPlan};
use crate::failure::Failure;
use std::path::Path;
use tapline_capture::{
    CaptureSet, ExportSet, IpfixListener, OpenError, TcpOptions, TemplateFile, UdpListener, UdpOptions,
};
use tapline_pipeline::{Input, KernelInput, Listener};
use tapline_query::{ContinuousQuery, Fold};
use tapline_record::{INTERFACE_COUNTERS, PACKETS};

/// Refuses queries over streams that the input does not have, and live aggregates that would never end.
pub(crate) fn check(plan: &QueryPlan, queries: &[ContinuousQuery]) -> Result<(), Failure> {
    let has_packets =
        matches!(plan.input, InputPlan::Packets(_) | InputPlan::Interface(_) | InputPlan::Nothing);
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

fn has_aggregate(query: &ContinuousQuery) -> bool {
    query.lowers.iter().any(|lower| matches!(lower.fold, Fold::Aggregate(_)))
}

/// The queries with the lower halves that the input answers best; of an interface, the kernel's flow table.
pub(crate) fn place(
    plan: &QueryPlan,
    queries: Vec<ContinuousQuery>,
) -> Result<Vec<ContinuousQuery>, Failure> {
    if !matches!(plan.input, InputPlan::Interface(_)) {
        return Ok(queries);
    }
    let place = |((name, _), query): (&(String, String), ContinuousQuery)| {
        let (query, reasons) = query.over_packet_flows();
        match reasons.into_iter().flatten().next() {
            None => Ok(query),
            Some(reason) => Err(Failure::Usage(format!(
                "{name}: the kernel's flow table cannot answer this: {reason}; ask for counts, sums of octets, \
                 min(ts) and max(ts) by addresses, ports, protocol, tcp_flags, vlan, icmp_type and icmp_code, or \
                 read a capture by --pcap"
            ))),
        }
    };
    plan.queries.iter().zip(queries).map(place).collect()
}

/// Opens the files, attaches to the interface, or binds the listeners.
pub(crate) fn open(plan: &InputPlan, queries: &[ContinuousQuery]) -> Result<Input, Failure> {
    let failed = |error: OpenError| Failure::Run(error.to_string());
    match plan {
        InputPlan::Nothing => Err(Failure::Usage(
            "no input; give --pcap FILE, --interface IF, --exports FILE or --listen udp://HOST:PORT"
                .to_owned(),
        )),
        InputPlan::Packets(files) => Ok(Input::Packets(CaptureSet::open(files).map_err(failed)?)),
        InputPlan::Exports { files, ports } => {
            Ok(Input::Exports(ExportSet::open(files, ports).map_err(failed)?))
        }
        InputPlan::Interface(interface) => {
            let input = KernelInput::open(interface, queries);
            Ok(Input::Kernel(Box::new(input.map_err(|error| Failure::Run(error.to_string()))?)))
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
