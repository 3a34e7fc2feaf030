//! A picture of what many queries cost, beside what the paper of PaQueT tells of its own.
//!
//! Takes CPU times by number of queries, gives an SVG of bars: how many times as much as five queries.

use std::fmt::Write as _;

/// How many queries there are in each group of bars.
pub(super) const QUERIES: [usize; 3] = [5, 10, 20];
/// CPU in per cent with so many queries, of PaQueT (Ligocki, Hara, Lyra: Flexible network monitoring with PaQueT,
/// 2008, figure 5).
const PAQUET: [f64; 3] = [12.0, 22.0, 38.0];

const WIDTH: usize = 640;
const HEIGHT: usize = 340;
const LEFT: usize = 60;
/// Where bars begin, and how high one is that is worth as much as five queries.
const BOTTOM: f64 = 290.0;
const UNIT: f64 = 60.0;
const TIMES_MAX: usize = 4;

/// The picture for these CPU times, in seconds.
pub(super) fn of(tapline: [f64; 3]) -> String {
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"14\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"
    );
    text(
        &mut svg,
        (LEFT as f64, 28.0),
        "start",
        "CPU time of several queries at once, as a multiple of five",
    );
    for times in 0..=TIMES_MAX {
        let y = BOTTOM - UNIT * times as f64;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#d8d8d8\"/>",
            WIDTH - 20
        );
        text(&mut svg, (LEFT as f64 - 10.0, y + 5.0), "end", &format!("{times}"));
    }
    for (group, queries) in QUERIES.into_iter().enumerate() {
        let x = LEFT as f64 + 50.0 + 180.0 * group as f64;
        bar(&mut svg, x, PAQUET[group] / PAQUET[0], "#b0b7c3");
        bar(&mut svg, x + 55.0, tapline[group] / tapline[0], "#1f6feb");
        text(&mut svg, (x + 52.0, BOTTOM + 20.0), "middle", &format!("{queries} queries"));
    }
    for (x, fill, name) in [(LEFT + 50, "#b0b7c3", "PaQueT, 2008"), (LEFT + 200, "#1f6feb", "tapline")] {
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"322\" width=\"12\" height=\"12\" fill=\"{fill}\"/>");
        text(&mut svg, (x as f64 + 18.0, 333.0), "start", name);
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, x: f64, times: f64, fill: &str) {
    let height = UNIT * times;
    let y = BOTTOM - height;
    let _ =
        writeln!(svg, "<rect x=\"{x}\" y=\"{y:.1}\" width=\"50\" height=\"{height:.1}\" fill=\"{fill}\"/>");
    text(svg, (x + 25.0, y - 6.0), "middle", &format!("{times:.1}"));
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ =
        writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#202020\">{text}</text>");
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_number_of_queries_has_its_bars() {
        let svg = super::of([0.7, 0.77, 1.4]);
        for label in [">1.0<", ">1.8<", ">3.2<", ">1.1<", ">2.0<", ">20 queries<"] {
            assert!(svg.contains(label), "{label} in {svg}");
        }
    }
}
