//! A picture of learning from use: nDCG@10 against how many queries gave feedback so far, as plain SVG text. The same data give the same
//! bytes.

use super::online::{Course, Feedback, SEEDS, World, course};
use rvf_engine::learn::bootstrap;
use std::fmt::Write as _;

/// Queries that a point is the mean of, with each seed.
const WINDOW: usize = 100;
/// Points of a line, about.
const POINTS: usize = 50;
const SIZE: [f64; 2] = [760.0, 470.0];
/// Edges of the field of the lines: left, top, right, bottom.
const FIELD: [f64; 4] = [64.0, 60.0, 740.0, 356.0];

/// A line: the x and the mean of each point, and the ends of its band.
struct Line {
    name: &'static str,
    style: &'static str,
    colour: &'static str,
    points: Vec<[f64; 4]>,
}

/// What is drawn: name, style and colour.
const DRAWN: [(&str, &str, &str, Feedback); 3] = [
    ("learned from judgements", "", "#1b7837", Feedback::True),
    ("learned from biased, noisy clicks", "", "#2166ac", Feedback::Biased),
    ("learned from clicks that are chance", " stroke-dasharray=\"5 5\"", "#d6604d", Feedback::Chance),
];

/// The picture, and its points as lines of text.
pub(crate) fn draw(name: &str, world: &World<'_>) -> (String, String) {
    let of = |feedback| (0..SEEDS).map(|seed| course(world, feedback, seed)).collect::<Vec<Course>>();
    let courses: Vec<Vec<Course>> = DRAWN.iter().map(|(.., feedback)| of(*feedback)).collect();
    let mut lines = Vec::new();
    for ((name, style, colour, _), courses) in DRAWN.iter().zip(&courses) {
        if lines.is_empty() {
            // The same for all ways to choose: the orders of the queries are.
            lines.push(Line {
                name: "cosine, nothing learned",
                style: " stroke-opacity=\"0.8\"",
                colour: "#8c8c8c",
                points: static_line(courses),
            });
        }
        lines.push(Line { name, style, colour, points: learned_line(courses) });
    }
    let mut table = String::new();
    for line in &lines {
        for [x, mean, low, high] in &line.points {
            let _ = writeln!(table, "{}\t{x}\t{mean:.4}\t{low:.4}\t{high:.4}", line.name);
        }
    }
    (svg(name, world.queries(), &lines), table)
}

/// Ends of the windows.
fn ends(queries: usize) -> Vec<usize> {
    let step = (queries / POINTS).max(1);
    (WINDOW.min(queries)..=queries).rev().step_by(step).collect::<Vec<usize>>().into_iter().rev().collect()
}

/// What is in the window that ends at a query, of all seeds.
fn window(courses: &[Course], end: usize) -> Vec<[f64; 2]> {
    courses.iter().flat_map(|course| &course.steps[end.saturating_sub(WINDOW)..end]).copied().collect()
}

fn mean_before(window: &[[f64; 2]]) -> f64 {
    window.iter().map(|[before, _]| before).sum::<f64>() / window.len().max(1) as f64
}

fn static_line(courses: &[Course]) -> Vec<[f64; 4]> {
    let queries = courses.first().map_or(0, |course| course.steps.len());
    let point = |end| (end as f64, mean_before(&window(courses, end)));
    ends(queries).into_iter().map(point).map(|(x, mean)| [x, mean, mean, mean]).collect()
}

/// The band is that of the gain over similarity, which is what is in question.
fn learned_line(courses: &[Course]) -> Vec<[f64; 4]> {
    let queries = courses.first().map_or(0, |course| course.steps.len());
    let point = |end: usize| {
        let window = window(courses, end);
        let gain = bootstrap(&window.iter().map(|[before, after]| after - before).collect::<Vec<f64>>(), 1);
        let before = mean_before(&window);
        [end as f64, before + gain.mean, before + gain.low, before + gain.high]
    };
    ends(queries).into_iter().map(point).collect()
}

/// Ends of the axis upwards: tenths that hold all points.
fn span(lines: &[Line]) -> [f64; 2] {
    let all = || lines.iter().flat_map(|line| &line.points);
    let low = all().map(|point| point[2]).fold(1.0, f64::min);
    let high = all().map(|point| point[3]).fold(0.0, f64::max);
    [(low * 10.0).floor() / 10.0, ((high * 10.0).ceil() / 10.0).min(1.0)]
}

fn svg(name: &str, queries: usize, lines: &[Line]) -> String {
    let [left, top, right, bottom] = FIELD;
    let [low, high] = span(lines);
    let x = |value: f64| left + (right - left) * value / queries.max(1) as f64;
    let y = |value: f64| bottom - (bottom - top) * (value - low) / (high - low).max(0.1);
    let mut out = String::new();
    let [width, height] = SIZE;
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#222222\">\n<title>Learning from use: {name}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{left}\" y=\"26\" font-size=\"17\">Learning from use: {name}, {queries} queries</text>\n\
         <text x=\"{left}\" y=\"45\">Each query is judged before its feedback is heard; mean of the last {WINDOW} queries, {SEEDS} \
         orders of the queries</text>"
    );
    for tenth in (low * 20.0).round() as usize..=(high * 20.0).round() as usize {
        let (value, at) = (tenth as f64 / 20.0, y(tenth as f64 / 20.0));
        let _ = writeln!(out, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#dddddd\"/>");
        let _ = writeln!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>", left - 8.0, at + 4.5);
    }
    let every = if queries > 1000 { 200 } else { 100 };
    for value in (0..=queries).step_by(every) {
        let at = x(value as f64);
        let _ = writeln!(out, "<path d=\"M{at:.1} {bottom}v5\" stroke=\"#222222\"/>");
        let _ = writeln!(out, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>", bottom + 19.0);
    }
    let _ = writeln!(out, "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#222222\"/>");
    let middle = (top + bottom) / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">queries with feedback so far</text>\n\
         <text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">nDCG@10</text>",
        (left + right) / 2.0,
        bottom + 38.0
    );
    lines.iter().for_each(|line| draw_line(&mut out, line, &x, &y));
    legend(&mut out, lines);
    out.push_str("</svg>\n");
    out
}

fn draw_line(out: &mut String, line: &Line, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
    let mut path = |points: &mut dyn Iterator<Item = (f64, f64)>, style: &str| {
        let points: Vec<String> = points.map(|(at, value)| format!("{:.1} {:.1}", x(at), y(value))).collect();
        let _ = writeln!(out, "<path d=\"M{}\"{style}/>", points.join("L"));
    };
    let colour = line.colour;
    if line.points.iter().any(|[_, _, low, high]| low < high) {
        let lower = line.points.iter().map(|point| (point[0], point[2]));
        let upper = line.points.iter().rev().map(|point| (point[0], point[3]));
        path(&mut lower.chain(upper), &format!(" fill=\"{colour}\" fill-opacity=\"0.15\""));
    }
    let style = format!(" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\"{}", line.style);
    path(&mut line.points.iter().map(|point| (point[0], point[1])), &style);
}

/// Two rows of names under the field, and what the bands are.
fn legend(out: &mut String, lines: &[Line]) {
    for (at, line) in lines.iter().enumerate() {
        let (left, top) = (FIELD[0] + (at % 2) as f64 * 320.0, FIELD[3] + 60.0 + (at / 2) as f64 * 20.0);
        let _ = writeln!(
            out,
            "<path d=\"M{left} {top}h26\" stroke=\"{}\" stroke-width=\"2.2\"{}/>\n<text x=\"{}\" y=\"{}\">{}</text>",
            line.colour,
            line.style,
            left + 34.0,
            top + 4.5,
            line.name
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"12\">Bands: 95 % interval of the gain over cosine (paired bootstrap over the queries \
         of all orders)</text>",
        FIELD[0],
        FIELD[3] + 104.0
    );
}
