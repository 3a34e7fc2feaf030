//! What a node is to do, as the command line or a file of it says.

use crate::allowance::allowance_of;
use crate::arguments::{RunArguments, check_interfaces};
use crate::config::{ConfigFile, Listen, SourceTable};
use crate::direction::DirectionText;
use crate::failure::Failure;
use crate::forward_plan::{AggregatorPlan, ForwardPlan};
use crate::identity;
use crate::input::READERS_OF_MIRRORS;
use crate::limits::{EngineArguments, ReadingArguments};
use crate::outlets::{self, SinkPlan};
use crate::psql::PsqlPlan;
use crate::wanted;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tapline_catalog::{
    Allowance, CapturesInput, Input, InputSet, InterfacePlan, ListenerInput, WantedFrames, interface_inputs,
    whole_path,
};
use tapline_engine::EngineOptions;
use tapline_exports::UdpOptions;
use tapline_history::HistoryOptions;
use tapline_interface::link;
use tapline_lookup::TableFile;
use tapline_query::Identity;
use tapline_record::StreamId;
use tapline_serve::EntrancePlan;
use tapline_sources::{SharedMemory, SourceOptions};

/// Where the API listens, unless something else is said.
const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);
/// Queries that may run at once, likewise.
const QUERIES_MAX: u32 = 1000;

/// What a node is to do.
pub(crate) struct NodePlan {
    /// Who it is.
    pub(crate) identity: Identity,
    /// What else is said of it.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) interfaces: Vec<InterfacePlan>,
    pub(crate) listeners: Vec<ListenerInput>,
    pub(crate) captures: Vec<CapturesPlan>,
    pub(crate) state: Option<PathBuf>,
    /// Where queries are, in place of the state folder's.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) api: SocketAddr,
    /// Where it is asked besides, by users of this machine.
    pub(crate) socket: Option<PathBuf>,
    /// Where it is asked over PostgreSQL's protocol.
    pub(crate) psql: Option<PsqlPlan>,
    /// Who may ask it over the network.
    pub(crate) access: EntrancePlan,
    /// The file that says all this.
    pub(crate) config: Option<PathBuf>,
    pub(crate) queries_max: usize,
    pub(crate) engine: EngineOptions,
    /// What each query may take.
    pub(crate) allowance: Allowance,
    /// The files of lookup tables.
    pub(crate) lookups: Vec<TableFile>,
    /// Where results are stored.
    pub(crate) history: Option<HistoryOptions>,
    /// Where they go besides.
    pub(crate) sinks: Vec<SinkPlan>,
    /// Whose sensor it is.
    pub(crate) forward: Option<ForwardPlan>,
    /// Where its own sensors come.
    pub(crate) aggregator: Option<AggregatorPlan>,
    /// How far records may be late, in milliseconds, where a source does not say; for what is said of late ones.
    pub(crate) lateness_ms: u32,
    /// Whether it begins without the starting set.
    pub(crate) is_bare: bool,
    /// After how long it ends.
    pub(crate) duration: Option<Duration>,
}

/// What a node has read of each folder of captures.
pub(crate) type Memories = Mutex<HashMap<PathBuf, SharedMemory>>;

/// A folder of captures that is to be read.
#[derive(Clone, Debug)]
pub(crate) struct CapturesPlan {
    /// What its rows name as their source; `None` for the folder.
    name: Option<String>,
    folder: PathBuf,
    options: SourceOptions,
    wanted: WantedFrames,
}

impl NodePlan {
    /// What these arguments say, and the file that they name.
    pub(crate) fn resolve(arguments: &RunArguments) -> Result<Self, Failure> {
        let config = arguments.config.as_deref().map(ConfigFile::read).transpose()?;
        let mut plan = match &config {
            Some(config) => Self::of_file(arguments, config)?,
            None => Self::of_arguments(arguments)?,
        };
        plan.access = arguments.access.plan(config.as_ref()).map_err(Failure::Usage)?;
        let said = config.as_ref().map(|config| &config.node);
        plan.psql = arguments.psql.plan(said, &plan.access)?;
        plan.add_roles(arguments, config.as_ref())?;
        if plan.reads_nothing() && plan.aggregator.is_none() {
            return Err(nothing_to_read());
        }
        let names: Vec<String> = plan.interfaces.iter().map(|plan| plan.interface.clone()).collect();
        check_interfaces(&names)?;
        plan.check_captures()?;
        Ok(plan)
    }

    const fn reads_nothing(&self) -> bool {
        self.interfaces.is_empty() && self.listeners.is_empty() && self.captures.is_empty()
    }

    /// Whose sensor it is, and who its own are.
    fn add_roles(&mut self, arguments: &RunArguments, config: Option<&ConfigFile>) -> Result<(), Failure> {
        let (state, table) = (self.state.as_deref(), config.map(|config| &config.forward));
        let forward = ForwardPlan::of(&arguments.forward, table, state, &self.identity.sensor);
        let aggregator = config.map(|config| AggregatorPlan::of(&config.aggregator, state)).transpose();
        self.forward = forward.map_err(Failure::Usage)?;
        self.aggregator = aggregator.map_err(Failure::Usage)?.flatten();
        if let Some(history) = self.history.as_mut().filter(|_| self.aggregator.is_some()) {
            history.comes_again = true;
        }
        if self.aggregator.is_some() && !self.reads_nothing() {
            let why = "an aggregator reads nothing by itself: take its sources out, and run a sensor beside it that has them";
            return Err(Failure::Usage(why.to_owned()));
        }
        Ok(())
    }

    /// Refuses a folder that is named twice: each of its packets would count twice.
    fn check_captures(&self) -> Result<(), Failure> {
        let folders: Vec<PathBuf> =
            self.captures.iter().map(|captures| whole_path(&captures.folder)).collect();
        match (1..folders.len()).find(|&number| folders[..number].contains(&folders[number])) {
            None => Ok(()),
            Some(number) => {
                let folder = self.captures[number].folder.display();
                Err(Failure::Usage(format!("--captures {folder} is given twice; name each folder once")))
            }
        }
    }

    fn of_arguments(arguments: &RunArguments) -> Result<Self, Failure> {
        if arguments.frames.readers.is_some() && !arguments.mirror {
            return Err(Failure::Usage(READERS_OF_MIRRORS.to_owned()));
        }
        let [of_interfaces, of_captures] = wanted::of_arguments(arguments)?;
        let interfaces = arguments.interface.iter().map(|name| SourceTable {
            interface: Some(name.clone()),
            mirror: arguments.mirror,
            readers: arguments.frames.readers,
            direction: arguments.frames.direction,
            ..SourceTable::default()
        });
        let listeners = arguments
            .listen
            .iter()
            .map(|url| SourceTable { listen: Some(Listen(url.clone())), ..SourceTable::default() });
        let captures = arguments
            .captures
            .iter()
            .map(|folder| SourceTable { captures: Some(folder.clone()), ..SourceTable::default() });
        let mut plan = Self::new(arguments, &arguments.engine, arguments.queries_max.unwrap_or(QUERIES_MAX));
        plan.lateness_ms = arguments.reading.source_options().exports_lateness_ms();
        let mut add = |source: SourceTable, wanted| plan.add(&source, &arguments.reading, wanted);
        interfaces.for_each(|source| add(source, of_interfaces.clone()));
        listeners.for_each(|source| add(source, WantedFrames::default()));
        captures.for_each(|source| add(source, of_captures.clone()));
        Ok(plan)
    }

    fn of_file(arguments: &RunArguments, config: &ConfigFile) -> Result<Self, Failure> {
        let file = arguments.config.as_deref().unwrap_or(Path::new(""));
        let said = |wrong: String| Failure::Usage(format!("--config {}: {wrong}", file.display()));
        let engine = EngineArguments::of(&config.limits).map_err(said)?;
        let mut plan = Self::new(arguments, &engine, config.limits.queries_max.unwrap_or(QUERIES_MAX));
        plan.allowance = allowance_of(&config.limits, &plan.engine).map_err(said)?;
        plan.identity = identity::of_table(&config.node);
        plan.tags.clone_from(&config.node.tags);
        plan.state = plan.state.or_else(|| config.node.state.clone());
        plan.api = arguments.api.or(config.node.api).unwrap_or(API);
        plan.socket = plan.socket.or_else(|| config.node.socket.clone());
        plan.folder.clone_from(&config.queries.folder);
        plan.lookups = config.tables().map_err(said)?;
        plan.history = outlets::history_of(&config.history, arguments.history.as_deref()).map_err(said)?;
        plan.sinks = outlets::sinks_of(&config.sinks, plan.state.as_deref()).map_err(said)?;
        for (number, source) in (1..).zip(&config.sources) {
            let in_source = |wrong: String| said(format!("[[source]] {number}: {wrong}"));
            let reading = ReadingArguments::of(source).map_err(in_source)?;
            plan.add(source, &reading, wanted::of_table(source).map_err(in_source)?);
        }
        Ok(plan)
    }

    fn new(arguments: &RunArguments, engine: &EngineArguments, queries_max: u32) -> Self {
        let engine = engine.options();
        Self {
            identity: identity::of_host(),
            tags: BTreeMap::new(),
            interfaces: vec![],
            listeners: vec![],
            captures: vec![],
            state: arguments.state.clone(),
            folder: None,
            api: arguments.api.unwrap_or(API),
            socket: arguments.socket.clone(),
            psql: None,
            access: EntrancePlan::default(),
            config: arguments.config.clone(),
            queries_max: queries_max as usize,
            allowance: Allowance::of(&engine.limits),
            engine,
            lookups: arguments.lookups.lookup.clone(),
            history: arguments.history.as_deref().map(HistoryOptions::new),
            sinks: vec![],
            forward: None,
            aggregator: None,
            lateness_ms: SourceOptions::default().exports_lateness_ms(),
            is_bare: arguments.bare,
            duration: arguments.r#for,
        }
    }

    fn add(&mut self, source: &SourceTable, reading: &ReadingArguments, wanted: WantedFrames) {
        let options = reading.source_options();
        if let Some(interface) = source.interface.clone() {
            let (is_mirror, readers) = (source.mirror, source.readers.map(usize::from));
            let directions = DirectionText::directions(source.direction);
            let plan = InterfacePlan { interface, is_mirror, readers, directions, options, wanted };
            self.interfaces.push(plan);
        } else if let Some(listen) = &source.listen {
            let udp = UdpOptions { receive_buffer_octets: reading.receive_buffer, ..UdpOptions::default() };
            let (name, url, templates) = (source.name.clone(), listen.0.clone(), self.state.clone());
            self.listeners.push(ListenerInput { name, url, udp, templates, options, behind: None });
        } else if let Some(folder) = source.captures.clone() {
            self.captures.push(CapturesPlan { name: source.name.clone(), folder, options, wanted });
        }
    }

    /// What is to be read; of folders that this node has read before, behind that.
    pub(crate) fn inputs(&self, memories: &Memories) -> InputSet {
        let sources = self.interfaces.len() + self.listeners.len() + self.captures.len();
        let mut set = interface_inputs(&self.interfaces, self.engine.readers(sources));
        set.inputs.extend(self.listeners.iter().map(|listener| Box::new(listener.clone()) as Box<dyn Input>));
        set.inputs.extend(self.captures.iter().map(|captures| self.captures_input(captures, memories)));
        set
    }

    /// A folder of captures; how far time has come, folders alone know where nobody else carries their streams.
    fn captures_input(&self, captures: &CapturesPlan, memories: &Memories) -> Box<dyn Input> {
        let CapturesPlan { name, folder, options, wanted } = captures.clone();
        let alone_in: &[StreamId] = match (self.interfaces.len(), self.listeners.len()) {
            (0, 0) => &[StreamId::Packets, StreamId::PacketFlows, StreamId::Flows],
            (0, _) => &[StreamId::Packets, StreamId::PacketFlows],
            _ => &[],
        };
        let mut memories = memories.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = memories.get(&whole_path(&folder)).cloned();
        let input = CapturesInput::new(name, &folder, self.state.as_deref(), memory, options);
        memories.insert(whole_path(&folder), input.shared_memory());
        Box::new(input.alone_in(alone_in).wanting(wanted))
    }

    /// What its engine takes.
    pub(crate) fn engine(&self) -> EngineOptions {
        let mut options = self.engine.clone();
        self.forward.iter().for_each(|forward| options.limits.forwarded = forward.rows);
        options
    }

    fn psql_address(&self) -> Option<SocketAddr> {
        self.psql.as_ref().map(|psql| psql.address)
    }

    /// What another plan says that this node does not do before its next start, in sentences.
    pub(crate) fn later(&self, other: &Self) -> Vec<String> {
        let differences = [
            ("[node] name or site", self.identity != other.identity),
            ("[node] tags", self.tags != other.tags),
            ("[node] state", self.state != other.state),
            ("[node] api", self.api != other.api),
            ("[node] socket", self.socket != other.socket),
            ("[node] psql", self.psql_address() != other.psql_address()),
            ("[queries] folder", self.folder != other.folder),
            ("[[lookup]]", self.lookups != other.lookups),
            ("[history]", self.history != other.history),
            ("[[sink]]", self.sinks != other.sinks),
            ("[forward]", self.forward != other.forward),
            ("[aggregator]", self.aggregator != other.aggregator),
            (
                "[limits]",
                (self.queries_max, &self.engine, self.allowance)
                    != (other.queries_max, &other.engine, other.allowance),
            ),
        ];
        let differ = differences.into_iter().filter(|(_, differs)| *differs);
        let differ = differ.map(|(what, _)| format!("{what} holds from the next start on"));
        let lacks_rights = self.interfaces.is_empty() && !other.interfaces.is_empty();
        let rights =
            "an interface needs rights that a node without one gives up when it starts; start it anew";
        differ.chain(lacks_rights.then(|| rights.to_owned())).collect()
    }
}

fn nothing_to_read() -> Failure {
    let interfaces = link::all().unwrap_or_default();
    let names: Vec<&str> = interfaces.iter().map(|link| link.name.as_str()).collect();
    Failure::Usage(format!(
        "nothing to read; give --listen udp://0.0.0.0:2055 for exports of routers, --interface IF for packets, --captures \
         DIR for captures that appear in a folder, several of them, or --config FILE. The interfaces here are {}; `tapline doctor` says what each can do",
        names.join(", ")
    ))
}
