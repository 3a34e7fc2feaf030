//! The prompt and tables, on a terminal.

use super::screen::{CTRL_C, CTRL_D, TAB, Terminal, UP};
use harness::scenario::Office;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

static CAPTURE: LazyLock<PathBuf> = LazyLock::new(|| {
    Office::write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("prompt.pcap"), 20_000).capture
});

fn capture() -> &'static str {
    CAPTURE.to_str().unwrap()
}

/// A prompt over the capture that has said what it is.
fn prompt(columns: u16, state: &TempDir) -> Terminal {
    let mut terminal = Terminal::start(&["query", "--pcap", capture()], columns, state.path());
    let greeting = terminal.shown_before_prompt();
    assert!(greeting.contains("\\? commands"), "{greeting}");
    terminal
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn sql_is_answered_line_by_line_until_somebody_leaves() {
    let state = folder();
    let mut terminal = prompt(120, &state);
    let found = terminal.answer("SELECT count(*), sum(octets) FROM packets;");
    assert!(found.contains("| count(*) | sum(octets) |") && found.contains("|    20000 |"), "{found}");
    terminal.press("SELECT count(*)\r");
    let found = terminal.answer("FROM flows WHERE protocol = 6;");
    assert!(found.contains("| count(*) |"), "two lines are one statement: {found}");
    let found = terminal.answer("SELECT 1 AS a FROM packets LIMIT 1; SELECT 2 AS b FROM packets LIMIT 1;");
    assert!(found.contains("| a |") && found.contains("query_2"), "{found}");
    assert!(!terminal.answer("").contains("error"), "an empty line asks nothing");
    terminal.press("SELECT nothing of this");
    terminal.press(CTRL_C);
    terminal.shown_before_prompt();
    terminal.press(CTRL_D);
    assert_eq!(terminal.code(), Some(0));
    let history = fs::read_to_string(state.path().join("tapline/history")).unwrap();
    assert!(history.contains("sum(octets) FROM packets;") && !history.contains("nothing"), "{history}");
}

#[test]
fn what_is_wrong_is_said_at_its_place_and_the_next_line_is_read() {
    let state = folder();
    let mut terminal = prompt(120, &state);
    let found = terminal.answer("SELECT src_pi FROM packets;");
    let lines: Vec<&str> = found.lines().map(str::trim_end).collect();
    let place = lines.iter().position(|line| *line == "  | SELECT src_pi FROM packets;").expect(&found);
    assert_eq!(lines[place + 1], "  |        ^^^^^^");
    assert!(found.contains("did you mean src_ip"), "{found}");
    terminal.press("SELECT ttl,\r");
    let found = terminal.answer("  nosuch(ttl) FROM packets;");
    assert!(found.contains("at line 2, column 3"), "{found}");
    let found = terminal.answer("\\nosuch");
    assert!(found.contains("there is no command \\nosuch; \\? lists all"), "{found}");
    let found = terminal.answer("\\explain");
    assert!(found.contains("it is \\explain SQL"), "{found}");
    let found = terminal.answer("\\d nosuch");
    assert!(found.contains("there is no table 'nosuch'"), "{found}");
    assert!(terminal.answer("SELECT count(*) AS n FROM packets;").contains("| 20000 |"));
    terminal.press("\\q\r");
    assert_eq!(terminal.code(), Some(0));
}

#[test]
fn words_are_completed_and_lines_come_back() {
    let state = folder();
    let mut terminal = prompt(120, &state);
    terminal.press(&format!(
        "SELECT dst_p{TAB}, count(*) AS n FROM pac{TAB} GROUP BY dst_p{TAB} ORDER BY n DESC LIM{TAB} 1;"
    ));
    let found = terminal.answer("");
    assert!(found.contains("| dst_port |"), "{found}");
    drop(terminal);
    let mut terminal = prompt(120, &state);
    terminal.press(UP);
    let found = terminal.answer("");
    assert!(found.contains("| dst_port |"), "the history outlives the prompt: {found}");
    terminal.press(&format!("\\ti{TAB}"));
    assert!(terminal.answer("").contains("timing is on"));
}

#[test]
fn commands_say_what_there_is_and_how_it_is_shown() {
    let state = folder();
    let mut terminal = prompt(120, &state);
    let found = terminal.answer("\\d");
    assert!(found.contains("packets: ") && found.contains("ledger: "), "{found}");
    let found = terminal.answer("\\d flows");
    assert!(found.contains("sampling_rate") && !found.contains("frame_octets"), "{found}");
    let found = terminal.answer("\\explain SELECT count(*) FROM packets");
    assert!(found.contains("count(*)") && !found.contains("20000"), "{found}");
    terminal.answer("\\x");
    let found = terminal.answer("SELECT ts, src_ip, vlan FROM packets LIMIT 2;");
    assert!(found.contains("-[ row 2 ]---") && found.contains("src_ip | "), "{found}");
    terminal.answer("\\x");
    assert!(terminal.answer("SELECT count(*) AS n FROM packets;").contains("|     n |"));
    assert!(!terminal.answer("SELECT 1 FROM packets LIMIT 1;").contains(" s"), "no time is said");
    terminal.answer("\\timing");
    let found = terminal.answer("SELECT count(*) AS n FROM packets;");
    assert!(found.contains("20 000 packets") && found.contains(" s\r\n"), "{found}");
    let found = terminal.answer("\\?");
    assert!(found.contains("\\explain SQL") && !found.contains("\\watch"), "{found}");
}

#[test]
fn ctrl_c_ends_an_answer_and_not_the_prompt() {
    const TIMES: usize = 300;
    let state = folder();
    let files = ["--pcap", capture()].repeat(TIMES);
    let mut terminal = Terminal::start(&[&["query"], &*files].concat(), 120, state.path());
    terminal.shown_before_prompt();
    terminal.press("SELECT count(*) AS n FROM packets WHERE octets > 0 OR text(payload) LIKE '%nothing%';\r");
    sleep(Duration::from_millis(300));
    terminal.press(CTRL_C);
    let found = terminal.shown_before_prompt();
    let row = found.lines().rfind(|line| line.starts_with("| ")).expect(&found);
    let read: usize = row.trim_matches([' ', '|', '\r']).parse().unwrap();
    assert!(read < 20_000 * TIMES, "{found}");
    assert!(terminal.answer("SELECT 7 AS n FROM packets LIMIT 1;").contains("| 7 |"), "it goes on");
    terminal.press("\\q\r");
    assert_eq!(terminal.code(), Some(0));
}

#[test]
fn a_prompt_opens_where_files_are_and_a_terminal_is() {
    let run = harness::tapline(&["query", "--pcap", capture()]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("no query; give one"), "{}", run.stderr);
    let state = folder();
    for arguments in [&["query"][..], &["query", "--pcap", "-"], &["query", "--interface", "lo"]] {
        let mut terminal = Terminal::start(arguments, 120, state.path());
        terminal.wait_for(|new| new.contains("no query; give one"));
        assert_eq!(terminal.code(), Some(2), "{arguments:?}");
    }
    let mut terminal = Terminal::start(&["query", "--pcap", "nosuch.pcap"], 120, state.path());
    terminal.wait_for(|new| new.contains("error: ") && new.contains("nosuch.pcap"));
    assert_eq!(terminal.code(), Some(1));
    let run = harness::tapline(&["shell"]);
    assert!(run.code == Some(2) && run.stderr.contains("the shell needs a terminal"), "{}", run.stderr);
}

#[test]
fn tables_fit_the_terminal_and_say_what_they_leave_out() {
    let state = folder();
    let sql = "SELECT * FROM packets LIMIT 5";
    for columns in [60, 100, 500] {
        let mut terminal =
            Terminal::start(&["query", "--pcap", capture(), "--quiet", sql], columns, state.path());
        let found = terminal.wait_for(|new| new.contains("not shown: ") && new.ends_with("\r\n"));
        let table: Vec<&str> = found.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(table.len(), 7, "{found}");
        assert!(table.iter().all(|line| line.trim_end().chars().count() <= columns.into()), "{found}");
        assert!(found.contains("NULL in every row: ") && found.contains("inner_src_ip"), "{found}");
        assert_eq!(found.contains("no room for: "), columns < 500, "{found}");
        assert_eq!(terminal.code(), Some(0));
    }
    let named = "SELECT ts, vlan FROM packets LIMIT 1";
    let mut terminal = Terminal::start(&["query", "--pcap", capture(), "--quiet", named], 100, state.path());
    assert!(terminal.wait_for(|new| new.contains("Z")).contains("| vlan |"), "it was asked for by name");
    let whole = harness::tapline(&["query", "--pcap", capture(), "--quiet", sql]);
    assert!(
        whole.success().lines().all(|line| line.len() > 500) && whole.stderr.is_empty(),
        "{}",
        whole.text()
    );
    for format in ["parquet", "arrow"] {
        let arguments = ["query", "--pcap", capture(), "--format", format, named];
        let mut terminal = Terminal::start(&arguments, 100, state.path());
        terminal.wait_for(|new| new.contains("is not for a terminal; send it to a file"));
        assert_eq!(terminal.code(), Some(2));
    }
}
