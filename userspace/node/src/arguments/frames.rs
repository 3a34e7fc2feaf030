//! The command line about which frames are looked at, and by whom.

use crate::config::READERS_MAX;
use crate::direction::DirectionText;
use crate::message::say;
use crate::rules::RulePlan;
use clap::{Args, ValueHint};
use std::path::PathBuf;
use tapline_interface::kernel::{LogLevel, Rule, log_at};

/// Which frames of interfaces and captures are looked at, and by how many threads.
#[derive(Debug, Args)]
pub(crate) struct FrameArguments {
    /// Read the packets of a mirror port by so many threads, which share its queues out [default: as many as there are cores
    /// for beside the operator threads]. Flows that are built from packets are built by one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(READERS_MAX)))]
    pub(crate) readers: Option<u16>,
    /// Which frames of interfaces are looked at: those that they receive, those that this host sends, or both [default: in].
    #[arg(long, value_name = "WAY", value_enum, conflicts_with = "mirror")]
    pub(crate) direction: Option<DirectionText>,
    /// Look only at frames that this filter in pcap syntax keeps, such as "tcp port 443 and not net 10.0.0.0/8", in all
    /// queries and in the flows that are built from packets.
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Keep only frames of interfaces that this names: a prefix such as 10.0.0.0/8, port:53, protocol:17, vlan:100 or
    /// vlan:none; the program in the kernel leaves the others out. Several of one kind add up, several kinds must all
    /// agree.
    #[arg(long, value_name = "RULE")]
    pub(crate) allow: Vec<Rule>,
    /// Leave out frames that this names, likewise.
    #[arg(long, value_name = "RULE")]
    pub(crate) deny: Vec<Rule>,
    /// Read such rules from a file too, a line each: allow RULE or deny RULE. A run of queries follows its changes at
    /// once, a node when it is told to by `tapline reload` or SIGHUP.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) rules: Option<PathBuf>,
    /// Tell what the programs in the kernel say of themselves: of what is lost (error), of what does not do what it is there
    /// for (warn), of what is not used (info); never of single frames.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_kernel: Option<LogLevel>,
}

impl FrameArguments {
    /// Where rules come from.
    pub(crate) fn rules(&self) -> RulePlan {
        RulePlan::new(&self.allow, &self.deny, self.rules.as_deref())
    }

    /// Has the programs in the kernel speak, if they are to.
    pub(crate) fn log_kernel(&self) {
        if let Some(level) = self.log_kernel {
            log_at(level, |what| say!("the kernel program says: {what}"));
        }
    }

    /// The first of these flags that is given and names rules.
    pub(crate) fn first_of_rules(&self) -> Option<&'static str> {
        let given = [
            ("--allow", !self.allow.is_empty()),
            ("--deny", !self.deny.is_empty()),
            ("--rules", self.rules.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }
}
