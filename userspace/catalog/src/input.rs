//! Something that a node reads.

use tapline_query::FlowTable;
use tapline_record::Stream;
use tapline_sources::{Demand, Source};

/// Something that a node reads: it is opened, and opened anew when it was gone.
pub trait Input: Send {
    /// What its rows name as their source.
    fn name(&self) -> String;

    /// What is the same for another one that reads the same in the same way.
    fn identity(&self) -> String;

    /// What it is, in a word or two.
    fn kind(&self) -> &'static str;

    /// The streams that it carries while it is open.
    fn streams(&self) -> Vec<&'static Stream>;

    /// Whether it is open only while some query reads one of its streams.
    fn is_on_demand(&self) -> bool;

    /// How far its records lie behind their arrival at most, in nanoseconds.
    fn lateness_ns(&self) -> i64;

    /// Looks whether it can be opened, as far as that can be said before.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Opens it for what queries need.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    fn open(&mut self, demand: &Demand) -> Result<Vec<Box<dyn Source>>, String>;
}

/// What a node reads, as its configuration says.
pub struct InputSet {
    /// All of it.
    pub inputs: Vec<Box<dyn Input>>,
    /// Who counts the packets of interfaces by flow.
    pub table: Option<FlowTable>,
}
