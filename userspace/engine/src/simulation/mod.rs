//! Whole engines without a thread: all machines are run in an order that a seed decides, and so are orders to the
//! engine. What each query must have seen follows from where each source came to its layout.

mod accounts;
mod changes;
mod cuts;
mod missing;
mod orders;
mod patience;
mod script;
mod stage;
