//! Which frames a node wants of its sources, as the command line or its file says.

use crate::arguments::RunArguments;
use crate::config::SourceTable;
use crate::failure::Failure;
use crate::frame_filter::FrameFilter;
use crate::rules::RulePlan;
use tapline_catalog::WantedFrames;

/// What the command line says: of interfaces, and of folders of captures, for which there are no rules.
pub(crate) fn of_arguments(arguments: &RunArguments) -> Result<[WantedFrames; 2], Failure> {
    let frames = &arguments.frames;
    if let Some(flag) = frames.first_of_rules().filter(|_| arguments.interface.is_empty()) {
        let message = format!(
            "{flag} is for --interface IF, and there is none; write the condition into WHERE instead"
        );
        return Err(Failure::Usage(message));
    }
    if frames.direction.is_some() && arguments.interface.is_empty() {
        let message = "--direction is for --interface IF, and there is none; leave it out";
        return Err(Failure::Usage(message.to_owned()));
    }
    if frames.log_kernel.is_some() && arguments.interface.is_empty() {
        let message = "--log-kernel is for --interface IF, and there is none; leave it out";
        return Err(Failure::Usage(message.to_owned()));
    }
    let has_frames = !arguments.interface.is_empty() || !arguments.captures.is_empty();
    if frames.filter.is_some() && (!has_frames || !arguments.listen.is_empty()) {
        let message = "--filter looks at frames, and flow exports hold none; write the condition into WHERE instead, or say \
                       filter = of a [[source]] that has frames, in a file for --config FILE";
        return Err(Failure::Usage(message.to_owned()));
    }
    let filter = frames.filter.as_deref().map(FrameFilter::parse).transpose()?;
    let filter = filter.as_ref().map(FrameFilter::wanted);
    let rules = frames.rules().read()?;
    Ok([WantedFrames { filter: filter.clone(), rules }, WantedFrames { filter, ..WantedFrames::default() }])
}

/// What a table of the file says.
pub(crate) fn of_table(source: &SourceTable) -> Result<WantedFrames, String> {
    let parse = |text: &str| FrameFilter::parse_as("filter", text);
    let filter = source.filter.as_deref().map(parse).transpose()?;
    let (allow, deny) = (source.allow.iter().map(|rule| &rule.0), source.deny.iter().map(|rule| &rule.0));
    let rules = RulePlan::new(allow, deny, source.rules.as_deref()).read_as("rules")?;
    Ok(WantedFrames { filter: filter.as_ref().map(FrameFilter::wanted), rules })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser as _;
    use std::fs;

    fn of(arguments: &[&str]) -> Result<[WantedFrames; 2], String> {
        let arguments = Arguments::try_parse_from([&["tapline", "run"], arguments].concat()).unwrap();
        let Command::Run(run) = arguments.command else { panic!("it is a run") };
        of_arguments(&run).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_hold_for_what_has_frames() {
        let all = ["--interface", "a", "--captures", "b", "--filter", " tcp ", "--deny", "port:53"];
        let [interfaces, captures] = of(&all).unwrap();
        assert_eq!(interfaces.filter, captures.filter);
        assert_eq!(interfaces.filter.unwrap().text, "tcp");
        assert_eq!((interfaces.rules.len(), captures.rules.len()), (1, 0));
        let listen = ["--listen", "udp://127.0.0.1:2055"];
        for (arguments, part) in [
            ([&listen[..], &["--allow", "port:53"]], "--allow is for --interface IF"),
            ([&listen[..], &["--rules", "no-such-file"]], "--rules is for --interface IF"),
            ([&listen[..], &["--filter", "tcp"]], "--filter looks at frames"),
            ([&["--interface", "a"][..], &["--filter", "tcp prot 1"]], "column 5"),
            ([&["--interface", "a"][..], &["--rules", "no-such-file"]], "--rules no-such-file: "),
        ] {
            let said = of(&arguments.concat()).unwrap_err();
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
    }

    #[test]
    fn a_table_says_rules_and_where_others_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let of = |rules: &str| {
            fs::write(&file, rules).unwrap();
            let path = file.path().display();
            let rules = format!("allow = [\"port:1\"]\ndeny = [\"port:2\"]\nrules = \"{path}\"");
            let text = format!("interface = \"a\"\nfilter = \"udp\"\n{rules}");
            of_table(&toml_edit::de::from_str(&text).unwrap())
        };
        let wanted = of("deny port:1\ndeny port:3 # telnet\n").unwrap();
        let texts: Vec<String> = wanted.rules.keys().map(ToString::to_string).collect();
        assert_eq!(texts, ["port:1", "port:2", "port:3"]);
        assert!(wanted.filter.is_some());
        let said = of("deny port:1\n\nport:3\n").unwrap_err();
        assert!(said.starts_with("rules /") && said.contains(": line 3: write allow or deny"), "{said}");
    }
}
