//! A report as one page of HTML: headline first, then what it rests on.
//!
//! * One file: style and charts are inside, nothing is fetched, nothing runs.
//! * Light or dark as the reader's system says; readable at 400 pixels and on wide screens: every chart is drawn in two
//!   shapes, and the page shows the one that fits.

use crate::draw::charts;
use crate::draw::plot::{Figure, Mark, Size, draw, escaped, glyph};
use crate::draw::tables;
use crate::draw::tables::Table;
use crate::figures::{bytes, count, float, percent, time};
use crate::rig::attempt::MOST_LOSS;
use crate::rig::environment::Environment;
use crate::sweep::quick_report::{Report, Step};
use search::Verdict;

/// The page.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn render(report: &Report) -> anyhow::Result<String> {
    let title = format!("Reflector {} run, {}", report.subject, moment(report.started_unix_s));
    let sections = [
        throughput(report)?,
        latency(report)?,
        core_time(report)?,
        nat_pairs(report),
        validity(report),
        environment(report),
        commands(&report.commands),
    ];
    Ok(document(&title, &(head(report) + &sections.concat())))
}

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

fn head(report: &Report) -> String {
    let best = report.best_step();
    let of_best = |figure: fn(&Step) -> String| best.map_or_else(|| "–".to_owned(), figure);
    let capacity = &report.capacity;
    let at_least = if capacity.is_at_least() { "≥ " } else { "" };
    let relayed =
        capacity.relayed_per_s.map_or_else(|| "–".to_owned(), |rate| format!("{at_least}{}", count(rate)));
    let tiles = [
        ("Relayed by one core", relayed, "datagrams/s".to_owned()),
        (
            "Loss there",
            of_best(|step| percent(step.outcome.data.loss)),
            format!("at most {}", percent(MOST_LOSS)),
        ),
        (
            "Latency there",
            of_best(|step| time(float(step.outcome.latency.p99_ns))),
            "99th percentile, from the intended send time".to_owned(),
        ),
        (
            "Core-time there",
            of_best(|step| step.core_ns_per_datagram().map_or_else(|| "–".to_owned(), time)),
            "per datagram, kernel included".to_owned(),
        ),
    ];
    let tile = |(name, value, note): (&str, String, String)| {
        format!(
            "<div><dt>{}</dt><dd><strong>{}</strong> <span>{}</span></dd></div>\n",
            escaped(name),
            escaped(&value),
            escaped(&note)
        )
    };
    let settings = &report.settings;
    format!(
        "<header>\n<p class=\"kicker\">Reflector {} run · {}</p>\n<h1>{}</h1>\n<dl class=\"tiles\">\n{}</dl>\n\
         <p>{} endpoints, each behind a simulated NAT of its own ({}), sent each other datagrams of {} bytes \
         ({} arrivals; {} of header, {} of payload) through one reflector with one worker. Each step lasted {} after {} of \
         warm-up.</p>\n</header>\n",
        escaped(&report.subject),
        moment(report.started_unix_s),
        escaped(&unbroken(&report.headline)),
        tiles.into_iter().map(tile).collect::<String>(),
        count(settings.endpoints.into()),
        escaped(&settings.nat.replace(',', ", ")),
        settings.datagram_bytes,
        escaped(&settings.arrivals.replace("poisson", "Poisson")),
        settings.datagram_bytes.saturating_sub(settings.payload_bytes),
        settings.payload_bytes,
        time(float(settings.duration_ns)),
        time(float(settings.warmup_ns)),
    )
}

fn throughput(report: &Report) -> anyhow::Result<String> {
    let figures = [charts::throughput(report), charts::loss(report)];
    section(
        "Offered against delivered",
        "A rate counts as relayed while at most 0.5 % of its datagrams are lost. What the receiver's NAT refused \
         is not lost: the reflector had relayed it. Crosses are steps whose figures may not be believed.",
        "throughput",
        &figures,
        &[tables::steps(report)],
    )
}

fn latency(report: &Report) -> anyhow::Result<String> {
    let figures = [charts::latency_by_rate(report), charts::latency_curve(report)];
    section(
        "Latency",
        "From the moment at which a datagram was due, not from when it was sent, so that a stall counts against \
         every datagram that waited for it. One way: generator, reflector, generator, on one machine.",
        "latency",
        &figures,
        &[tables::latencies(report)],
    )
}

fn core_time(report: &Report) -> anyhow::Result<String> {
    section(
        "Core-time per datagram",
        &format!(
            "Busy time of processor {}, on which the reflector was kept, over the datagrams that it relayed; what others \
             did there is in it, and too much of that makes a step invalid. How long it was busy the kernel knows \
             exactly, with what it samples. On loopback a core also delivers what it sends: the reflector's carries \
             its answers to the generator's sockets, the generator's carries datagrams to the reflector's. The \
             generator ran on processor {}.",
            report.cores.reflector, report.cores.generator
        ),
        "core-time",
        &[charts::core_time(report)],
        &[tables::core_times(report)],
    )
}

fn nat_pairs(report: &Report) -> String {
    let has_passed = report.steps.iter().any(|step| step.verdict() == Verdict::Passed);
    let which = if has_passed { "all steps that were relayed" } else { "all steps that may be believed" };
    format!(
        "<section>\n<h2>Delivery by NAT pair</h2>\n<p>Sums over {which}. A reflector reaches every NAT that its \
         endpoint keeps open, whatever the behaviours of both sides are.</p>\n{}</section>\n",
        tables::nat_pairs(report).html()
    )
}

fn validity(report: &Report) -> String {
    let valid = report.valid_steps().count();
    let mut items = vec![format!(
        "{valid} of {} steps may be believed: the generator kept its times and its rate, its own sockets dropped \
         nothing, the clock stood still, and the reflector accounted for every datagram that it received.",
        report.steps.len()
    )];
    items.extend(report.steps.iter().filter(|step| !step.verdict().is_believed()).map(|step| {
        let failed: Vec<String> = step.failed_checks().map(tables_check).collect();
        format!("{} datagrams/s does not count: {}.", count(step.offered_per_s), failed.join("; "))
    }));
    let planning = if report.fit_for_planning { "fit for planning" } else { "not for planning" };
    items.extend(report.caveats.iter().map(|caveat| format!("{caveat}: {planning}.")));
    let list: String = items.iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect();
    format!(
        "<section>\n<h2>Validity</h2>\n<ul>\n{list}</ul>\n{}<details><summary>Every check of every step</summary>\n\
         {}</details>\n</section>\n",
        tables::counters(report).html(),
        tables::checks(report).html()
    )
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

fn tables_check(check: &lab::programs::generator::Check) -> String {
    let found = check.value.map_or_else(|| "nothing".to_owned(), |value| tables::in_unit(value, &check.unit));
    format!("{} was {found}, allowed is {}", check.name, tables::in_unit(check.bound, &check.unit))
}

fn environment(report: &Report) -> String {
    let ready = &report.reflector;
    let words = |is: bool| if is { "yes" } else { "no" };
    let reflector = [
        crate::rig::environment::fact("Engine", ready.engine.clone()),
        crate::rig::environment::fact("Workers", count(ready.workers)),
        crate::rig::environment::fact("Receive buffer granted", bytes(ready.receive_buffer_bytes)),
        crate::rig::environment::fact("Trains received whole (GRO)", words(ready.gro)),
        crate::rig::environment::fact("Trains sent whole (GSO)", words(ready.gso)),
    ];
    facts(&report.environment, &[tables::facts("Reflector", &reflector)])
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
    let nothing = if charts.is_empty() { "<p>No step has figures to draw.</p>\n" } else { "" };
    let tables: String = tables.iter().map(Table::html).collect();
    Ok(format!(
        "<section>\n<h2>{}</h2>\n<p>{}</p>\n{nothing}<div class=\"charts\">\n{charts}</div>\n{tables}</section>\n",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sweep::quick_report::Report;

    /// Whether tags open and close like brackets; what HTML leaves open is named.
    fn is_well_formed(page: &str) -> bool {
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

    #[test]
    fn the_page_holds_everything_and_refers_to_nothing() {
        let report = sample::report();
        let page = render(&report).unwrap();
        let sections =
            ["Offered against delivered", "Latency", "Core-time per datagram", "Delivery by NAT pair"];
        for title in sections.iter().chain(&["Validity", "Environment", "Commands"]) {
            assert!(page.contains(&format!("<h2>{title}</h2>")), "{title} is missing");
        }
        assert!(page.find(&escaped(&unbroken(&report.headline))).unwrap() < page.find("<h2>").unwrap());
        assert!(page.contains("<td>not valid</td>") && page.contains("lag-p99 was 4.2 ms, allowed is 1 ms"));
        for outside in ["http:", "https:", "//cdn", "@import", "url(", "<script", "<link", "<img", "src="] {
            assert!(!page.contains(outside), "{outside} refers to something outside");
        }
        assert!(is_well_formed(&page));
        assert!(!is_well_formed("<p><b></p>") && !is_well_formed("<p>"));
        assert_eq!(page.matches("</figure>").count(), 5);
        let ids: Vec<&str> =
            page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!((once.len(), ids.len()), (20, 20), "ids are used twice");
    }

    #[test]
    fn text_of_a_result_stays_text() {
        let mut report = sample::report();
        report.headline = "<script>alert('x')</script>".to_owned();
        report.commands = vec!["a && b > c".to_owned()];
        let page = render(&report).unwrap();
        assert!(!page.contains("<script") && page.contains("a &amp;&amp; b &gt; c"));
    }

    #[test]
    fn a_run_without_figures_still_has_a_page() {
        let report = Report { steps: Vec::new(), ..sample::report() };
        let page = render(&report).unwrap();
        assert!(is_well_formed(&page) && page.contains("No step has figures to draw."));
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
