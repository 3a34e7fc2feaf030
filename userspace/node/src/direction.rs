//! Which way frames of interfaces go that are read, as somebody writes it.

use clap::ValueEnum;
use serde::Deserialize;
use tapline_interface::Directions;

/// Which frames of an interface are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DirectionText {
    /// Those that it receives.
    In,
    /// Those that it sends.
    Out,
    /// All.
    #[value(alias = "inout")]
    Both,
}

impl DirectionText {
    /// What that is; what is received where nothing is said.
    pub(crate) fn directions(said: Option<Self>) -> Directions {
        match said {
            None | Some(Self::In) => Directions::In,
            Some(Self::Out) => Directions::Out,
            Some(Self::Both) => Directions::Both,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_called_as_others_call_them() {
        let of = |text: &str| DirectionText::from_str(text, false).ok();
        let known = [Some(DirectionText::In), Some(DirectionText::Out), Some(DirectionText::Both)];
        assert_eq!(["in", "out", "both"].map(of), known);
        assert_eq!((of("inout"), of("ingress")), (known[2], None));
        assert_eq!(DirectionText::directions(None), Directions::In);
    }
}
