//! Queries by name, while they run and on disk; what a node reads, and its newest results.
//!
//! ```text
//! command, file ──► Definition ──► Catalog ──► engine ──► events ──► Results (newest windows, whoever watches)
//!                                    │  ▲
//!                      folder of .sql ◄┘  └── Inputs: opened when a query needs them, anew when they are back
//! ```
//! Who changes something holds the catalog's lock; results never wait for it.

#![forbid(unsafe_code)]

mod active_flows;
mod alert;
mod captures;
mod catalog;
mod definition;
mod duration;
mod error;
mod fleet;
mod flow_desk;
mod folder;
mod input;
mod inputs;
mod interface;
mod kept;
mod limits;
mod listener;
mod meter;
mod metrics;
mod query;
mod results;
mod safety;
mod sensors;
mod status;
mod waiting;
mod wanted;
mod watcher;

pub use active_flows::{ActiveFlows, FlowOrder, Rates, SeenFlow};
pub use alert::{AlertCondition, AlertOption, AlertStatus, ConfiguredAlert, parse_by, parse_cool_down};
pub use captures::{CapturesInput, whole_path};
pub use catalog::asked::Asked;
pub use catalog::forwarded::{CutPositions, ForwardedCut, ForwardedQuery, SensorEnd};
pub use catalog::picture::Picture;
pub use catalog::reload::Reloaded;
pub use catalog::{Catalog, CatalogOptions, Level, Log, Renew, Reread, Tell};
pub use definition::{Definition, QueryOptions, parse_switch, switch_text};
pub use duration::{duration_text, parse_duration};
pub use error::{CatalogError, nearest};
pub use fleet::{Fleet, FleetQuery, Joined};
pub use folder::{QueryFolder, StateFolder};
pub use input::{Gap, Input, InputSet, Meters};
pub use interface::{InterfacePlan, interface_inputs};
pub use limits::{Allowance, Beyond};
pub use listener::ListenerInput;
pub use metrics::Metrics;
pub use query::Explained;
pub use results::Results;
pub use safety::Safety;
pub use sensors::{
    Assigned, Assignments, ForwardStatus, ReportedQuery, ReportedSensor, ReportedSource, SensorReport,
    SensorStatus, Versions, clock_reason,
};
pub use status::{QueryRunState, QueryStatus, Snapshot, SourceState, SourceStatus};
pub use waiting::Pace;
pub use wanted::{WantedFilter, WantedFrames};
pub use watcher::{Came, Watcher};
