//! The page around every report: one look, and sections of charts and tables.
//!
//! * One file: style and charts are inside, nothing is fetched, nothing runs.
//! * Light or dark as the reader's system says; readable at 400 pixels and on wide screens: every chart is drawn in two
//!   shapes, and the page shows the one that fits.

use crate::draw::plot::{Figure, Mark, Size, draw, escaped, glyph};
use crate::draw::tables;
use crate::draw::tables::Table;
use crate::rig::environment::Environment;

/// A whole document around what it shows.
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escaped(title),
    )
}

/// A figure that stands at the head of a page.
#[derive(Clone, Debug)]
pub struct Tile {
    /// What it is.
    pub name: String,
    /// The figure, with its unit if it is short.
    pub value: String,
    /// What a reader has to know with it.
    pub note: String,
}

/// The head of a page: what kind of report, when, the result in a sentence, tiles, and what stands below them as HTML.
pub fn head(kind: &str, started_unix_s: u64, headline: &str, tiles: &[Tile], below: &str) -> String {
    let tile = |Tile { name, value, note }: &Tile| {
        format!(
            "<div><dt>{}</dt><dd><strong>{}</strong> <span>{}</span></dd></div>\n",
            escaped(name),
            escaped(value),
            escaped(note)
        )
    };
    format!(
        "<header>\n<p class=\"kicker\">{} · {}</p>\n<h1>{}</h1>\n<dl class=\"tiles\">\n{}</dl>\n{below}</header>\n",
        escaped(kind),
        moment(started_unix_s),
        escaped(&unbroken(headline)),
        tiles.iter().map(tile).collect::<String>()
    )
}

/// The section on what may be believed: a sentence each, and tables.
pub fn validity(notes: &[String], tables: &[Table]) -> String {
    let items: String = notes.iter().map(|note| format!("<li>{}</li>\n", escaped(note))).collect();
    let tables: String = tables.iter().map(Table::html).collect();
    format!("<section>\n<h2>Validity</h2>\n<ul>\n{items}</ul>\n{tables}</section>\n")
}

/// The machine, the programs and the kernel's settings, a table each; `more` stands behind the programs.
pub fn facts(environment: &Environment, more: &[Table]) -> String {
    let own =
        [tables::facts("Machine", &environment.machine), tables::facts("Programs", &environment.versions)];
    let kernel = [
        tables::facts("Kernel settings", &environment.sysctls),
        tables::facts("Mitigations", &environment.mitigations),
    ];
    let tables: String = own.iter().chain(more).chain(&kernel).map(Table::html).collect();
    format!("<section class=\"facts\">\n<h2>Environment</h2>\n{tables}</section>\n")
}

/// The command lines of a run.
pub fn commands(commands: &[String]) -> String {
    let lines: String = commands.iter().map(|command| format!("{}\n", escaped(command))).collect();
    format!(
        "<section>\n<h2>Commands</h2>\n<p>What ran, in this order; the ring was made for this run and is gone.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Commands\"><pre>{lines}</pre></div>\n\
         </section>\n"
    )
}

/// A section with what is drawn and what is listed; what cannot be drawn is left out, and `id` is unique on the page.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn section(
    title: &str,
    lead: &str,
    id: &str,
    figures: &[Option<Figure>],
    tables: &[Table],
) -> anyhow::Result<String> {
    let mut charts = String::new();
    for (number, figure) in figures.iter().flatten().enumerate() {
        charts.push_str(&chart(figure, &format!("{id}-{number}"))?);
    }
    let charts = match (figures, charts.as_str()) {
        ([], _) => String::new(),
        (_, "") => "<p>No step has figures to draw.</p>\n".to_owned(),
        (_, charts) => format!("<div class=\"charts\">\n{charts}</div>\n"),
    };
    let tables: String = tables.iter().map(Table::html).collect();
    Ok(format!(
        "<section>\n<h2>{}</h2>\n<p>{}</p>\n{charts}{tables}</section>\n",
        escaped(title),
        escaped(lead)
    ))
}

fn chart(figure: &Figure, id: &str) -> anyhow::Result<String> {
    let named = figure
        .series
        .iter()
        .map(|series| format!("<li>{}{}</li>", glyph(series.ink, series.mark), escaped(&series.name)));
    let legend: String = named.collect();
    // Lines without marks tell themselves apart by their dashes as well as by colour.
    let has_marks = figure.series.iter().any(|series| series.mark != Mark::None);
    let doubtful = figure.series.iter().any(|series| !series.doubtful.is_empty());
    let cross = if doubtful { "<li><span class=\"cross\">×</span>not valid</li>" } else { "" };
    Ok(format!(
        "<figure{}>\n<figcaption>{}</figcaption>\n<ul class=\"legend\">{legend}{cross}</ul>\n\
         <div class=\"wide\">{}</div>\n<div class=\"narrow\">{}</div>\n</figure>\n",
        if has_marks { "" } else { " class=\"dashed\"" },
        escaped(&figure.title),
        draw(figure, WIDE, &format!("{id}-wide"))?,
        draw(figure, NARROW, &format!("{id}-narrow"))?
    ))
}

/// Numbers kept with their units.
pub fn unbroken(text: &str) -> String {
    [" %", " ms", " µs", " ns"]
        .into_iter()
        .fold(text.to_owned(), |text, unit| text.replace(unit, &unit.replace(' ', "\u{a0}")))
}

/// Unix seconds as people write them: `2026-01-31 23:59 UTC`.
pub fn moment(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Civil calendar from a count of days, in years that begin in March, so that the leap day comes last.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march_month + 2) / 5 + 1, (march_month + 2) % 12 + 1);
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
}

const STYLE: &str = include_str!("style.css");
const WIDE: Size = Size { width: 600, height: 340, x_marks: 7, y_marks: 7 };
const NARROW: Size = Size { width: 372, height: 300, x_marks: 5, y_marks: 6 };

/// What every page has to be; for the tests of the reports.
#[cfg(test)]
pub(crate) mod checks {
    /// Whether tags open and close like brackets; what HTML leaves open is named.
    pub(crate) fn is_well_formed(page: &str) -> bool {
        const VOID: [&str; 2] = ["meta", "!doctype"];
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let (inside, _) = tag.split_once('>').expect("a tag ends");
            let name = inside.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
            match inside {
                _ if VOID.contains(&name) || inside.ends_with('/') => {}
                _ if inside.starts_with('/') => {
                    if open.pop() != Some(name) {
                        return false;
                    }
                }
                _ => open.push(name),
            }
        }
        open.is_empty()
    }

    /// Whether it refers to nothing outside itself.
    pub(crate) fn is_self_contained(page: &str) -> bool {
        // The name of SVG's own grammar is no reference.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        ["http:", "https:", "//cdn", "@import", "url(", "<script", "<link", "<img", "src="]
            .iter()
            .all(|outside| !page.contains(outside))
    }

    /// Whether every id is there once.
    pub(crate) fn ids_are_unique(page: &str) -> bool {
        let ids = || page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let once: std::collections::BTreeSet<&str> = ids().collect();
        once.len() == ids().count()
    }
}

#[cfg(test)]
mod tests {
    use super::checks::{ids_are_unique, is_self_contained, is_well_formed};
    use super::*;

    #[test]
    fn pages_are_checked() {
        assert!(!is_well_formed("<p><b></p>") && !is_well_formed("<p>") && is_well_formed("<p><b></b></p>"));
        assert!(!is_self_contained("<img src=\"x\">") && is_self_contained("<p>"));
        assert!(!ids_are_unique("<p id=\"a\"><p id=\"a\">") && ids_are_unique("<p id=\"a\"><p id=\"b\">"));
    }

    #[test]
    fn text_of_a_result_stays_text() {
        let tile = Tile { name: "<a>".to_owned(), value: "&".to_owned(), note: "x".to_owned() };
        let body = head("Sweep", 0, "<script>alert('x')</script>", &[tile], "")
            + &commands(&["a && b > c".to_owned()]);
        let page = document("<title>", &body);
        assert!(!page.contains("<script") && page.contains("a &amp;&amp; b &gt; c") && is_well_formed(&page));
    }

    #[test]
    fn days_become_dates() {
        let moments = [0, 951_782_400, 1_760_000_000, 4_107_542_399].map(moment);
        let expected = ["1970-01-01 00:00", "2000-02-29 00:00", "2025-10-09 08:53", "2100-02-28 23:59"];
        assert!(
            moments.iter().zip(expected).all(|(found, date)| found == &format!("{date} UTC")),
            "{moments:?}"
        );
    }
}
