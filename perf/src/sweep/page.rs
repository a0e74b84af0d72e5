//! The report of a sweep as one page of HTML: headline first, then what it rests on.
//!
//! * One file, in the look of every other report: nothing is fetched, nothing runs, light or dark.
//! * Every section says which command made it.

use crate::draw::page;
use crate::draw::page::Tile;
use crate::draw::plot::escaped;
use crate::draw::tables;
use crate::draw::tables::nothing;
use crate::figures::{count, float, floored, percent, time};
use crate::judge::survey::{Scaling, Survey};
use crate::rig::cell::{Axis, Engine};
use crate::rig::environment::fact;
use crate::sweep::charts;
use crate::sweep::tables as sheets;

/// The page.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn render(survey: &Survey) -> anyhow::Result<String> {
    let title = format!("{} of a reflector, {}", kind(survey), page::moment(survey.header.started_unix_s));
    let body = [
        head(survey),
        throughput(survey)?,
        latency(survey)?,
        cost(survey)?,
        varied(survey)?,
        scaling(survey)?,
        memory(survey)?,
        nat_pairs(survey)?,
        validity(survey),
        page::facts(&survey.header.environment, &[]),
        page::commands(&survey.commands),
    ];
    Ok(page::document(&title, &body.concat()))
}

/// What kind of report it is, in a word or two.
pub fn kind(survey: &Survey) -> &'static str {
    if is_varied(survey) { "Sweep" } else { "Quick run" }
}

/// Whether more than one cell was measured, so that there is something to hold against something.
pub fn is_varied(survey: &Survey) -> bool {
    survey.header.cells.len() > 1
}

fn head(survey: &Survey) -> String {
    let capacity = |engine: Engine| {
        let base = survey.base(engine)?;
        let rate = count(floored(base.per_worker_per_s()?, 3));
        let about = if base.capacity?.is_estimated { "≈ " } else { "" };
        let cost = base.cost_ns().map_or_else(nothing, |cost| time(cost.median));
        Some(Tile {
            name: format!("One worker, {}", engine.title()),
            value: format!("{about}{rate}"),
            note: format!("datagrams/s; {cost} of a core each"),
        })
    };
    let mut tiles: Vec<Tile> = survey.engines().filter_map(capacity).collect();
    if let [only] = survey.findings.as_slice() {
        tiles.extend(only.loads.iter().map(|load| Tile {
            name: format!("p99 latency at {}", load.purpose.words()),
            value: time(load.p99_ns.median),
            note: "from the intended send time".to_owned(),
        }));
    }
    let below = format!("<p>{}</p>\n", escaped(&method(survey)));
    let kicker = format!("{} of a reflector", kind(survey));
    page::head(&kicker, survey.header.started_unix_s, &survey.headline, &tiles, &below)
}

/// How it was measured, in a few sentences.
pub fn method(survey: &Survey) -> String {
    let header = &survey.header;
    format!(
        "Between generator and reflector lay {}. In {} the capacity was searched first (NDR: no \
         loss; PDR: at most 0.5 %); then came parts of it, all in turn: {} of {} each after {} of \
         warm-up, and one round before them that was thrown away. Core-time is what the reflector's processors were not \
         idle while the load stood, soft interrupts included, over the datagrams that came to it, wrong ones \
         included. Latency counts from the moment at which a datagram was due. Figures are medians of rounds; a range is \
         that of the rounds. NAT mix: {}.",
        header.ground.words(),
        several(header.cells.len(), "configuration"),
        several(header.rounds, "round"),
        time(float(header.duration_ns)),
        time(float(header.warmup_ns)),
        header.nat.replace(',', ", ")
    )
}

fn throughput(survey: &Survey) -> anyhow::Result<String> {
    page::section(
        "Offered against delivered",
        &made(
            survey,
            "The search and the rounds of each engine's base. Where the generator ended before the reflector \
         did (≥), the capacity is one core over its cost at half load and is called estimated (≈). Crosses may not be believed.",
        ),
        "throughput",
        &[charts::throughput(survey), charts::loss(survey)],
        &[sheets::capacities(survey)],
    )
}

fn latency(survey: &Survey) -> anyhow::Result<String> {
    page::section(
        "Latency",
        &made(
            survey,
            "One way, from the intended send time, so that a stall counts against every datagram that waited. \
         Bars reach over the rounds.",
        ),
        "latency",
        &[charts::latency_curves(survey), charts::latency_by_load(survey)],
        &[sheets::latencies(survey)],
    )
}

fn cost(survey: &Survey) -> anyhow::Result<String> {
    page::section(
        "Core-time per datagram",
        &made(survey, "How long a processor was busy the kernel knows exactly; what in, it samples."),
        "cost",
        &[charts::cost_split(survey)],
        &[],
    )
}

fn varied(survey: &Survey) -> anyhow::Result<String> {
    if !is_varied(survey) {
        return Ok(String::new());
    }
    page::section(
        "What changes the cost",
        &made(
            survey,
            "One thing changed at a time, each at half of its own capacity; bars reach over the rounds.",
        ),
        "varied",
        &[
            charts::cost_along(survey, Axis::Payload, "Payload sizes"),
            charts::cost_along(survey, Axis::Train, "Trains of one flow"),
            charts::cost_along(survey, Axis::Hostile, "Datagrams with a wrong tag"),
            charts::cost_along(survey, Axis::Endpoints, "Endpoints"),
        ],
        &[],
    )
}

fn scaling(survey: &Survey) -> anyhow::Result<String> {
    if !is_varied(survey) {
        return Ok(String::new());
    }
    let laws: Vec<String> = survey.scaling.iter().map(Scaling::in_words).collect();
    let lead = format!(
        "The Universal Scalability Law (Gunther), fitted from five worker counts on. {}.",
        laws.join(". ")
    );
    match charts::scaling(survey) {
        None => page::section("Scaling over workers", &lead, "scaling", &[], &[]),
        figure => page::section("Scaling over workers", &made(survey, &lead), "scaling", &[figure], &[]),
    }
}

fn memory(survey: &Survey) -> anyhow::Result<String> {
    let figures = [charts::memory(survey)];
    page::section(
        "Memory against endpoints",
        &made(
            survey,
            "Resident memory at half load. The reflector holds nothing per endpoint; the generator does.",
        ),
        "memory",
        if is_varied(survey) { &figures } else { &[] },
        &[sheets::memory(survey)],
    )
}

fn nat_pairs(survey: &Survey) -> anyhow::Result<String> {
    let lead = "A reflector reaches every NAT that its endpoint keeps open, whatever the behaviours of both sides are.";
    page::section("Delivery by NAT pair", &made(survey, lead), "nat", &[], &[sheets::nat_pairs(survey)])
}

fn validity(survey: &Survey) -> String {
    let sites = survey.header.sites.iter().map(|site| {
        let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let place = &site.placement;
        fact(
            &format!("{}, {} workers", site.engine.title(), site.workers),
            format!(
                "reflector on processors {}; generator on {}",
                list(&place.reflector),
                list(&place.generator)
            ),
        )
    });
    let placed = tables::facts("Who ran where", &sites.collect::<Vec<_>>());
    page::validity(&validity_notes(survey), &[placed, sheets::runs(survey)])
}

/// So many of something: `1 round`, `7 rounds`.
fn several(number: impl std::fmt::Display, what: &str) -> String {
    let number = number.to_string();
    let ending = if number == "1" { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// What may be believed and what may not, a sentence each.
pub fn validity_notes(survey: &Survey) -> Vec<String> {
    let validity = &survey.validity;
    let mut notes = vec![format!(
        "{} of {} runs in rounds ({}) may be believed: the generator kept its times and its rate, and nobody else took \
         more than a tenth of the processors. The others were repeated and do not count.",
        validity.believed,
        validity.runs,
        percent(validity.part())
    )];
    let failed: Vec<String> =
        validity.failed.iter().map(|(name, times)| format!("{name} ({times} times)")).collect();
    if !failed.is_empty() {
        notes.push(format!("What failed there: {}.", failed.join(", ")));
    }
    notes.push(match validity.not_conserved {
        0 => format!(
            "Every one of {} datagrams received is accounted for: relayed, observed, dropped by reason, or not sent.",
            count(validity.received)
        ),
        runs => format!("In {runs} runs not every datagram received is accounted for."),
    });
    if validity.missing > 0 {
        notes.push(format!(
            "{} of {} configurations have no figures: the sweep is unfinished, or no run of them could be believed.",
            validity.missing,
            survey.findings.len()
        ));
    }
    let absent = survey.header.absent.iter();
    notes.extend(absent.map(|absence| format!("{} was left out: {}.", absence.what, absence.why)));
    let planning = if survey.header.fit_for_planning { "fit for planning" } else { "not for planning" };
    notes.extend(survey.header.caveats.iter().map(|caveat| format!("{caveat}: {planning}.")));
    notes
}

/// A lead with the command that made what follows.
fn made(survey: &Survey, lead: &str) -> String {
    format!("{lead} Made by: {}", survey.header.command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::page::checks::{ids_are_unique, is_self_contained, is_well_formed};
    use crate::sample;

    #[test]
    fn the_page_holds_everything_and_refers_to_nothing() {
        let page = render(&sample::survey()).unwrap();
        let titles = [
            "Offered against delivered",
            "Latency",
            "Core-time per datagram",
            "What changes the cost",
            "Scaling over workers",
            "Memory against endpoints",
            "Delivery by NAT pair",
            "Validity",
            "Environment",
            "Commands",
        ];
        for title in titles {
            assert!(page.contains(&format!("<h2>{title}</h2>")), "{title} is missing");
        }
        assert!(is_self_contained(&page) && is_well_formed(&page) && ids_are_unique(&page));
        assert!(page.contains("needs 3 &lt;processors&gt;") && page.contains("&amp;&amp; &lt;x&gt;"));
        assert_eq!(page.matches("Made by: reflector-perf sweep --rounds 3").count(), 6);
        assert_eq!(page.matches("</figcaption>").count(), 10);
        assert!(page.contains("not fitted: 1 of the 5"));
    }

    #[test]
    fn a_sweep_without_figures_still_has_a_page() {
        let survey = Survey { findings: Vec::new(), scaling: Vec::new(), ..sample::survey() };
        assert!(render(&survey).unwrap().contains("No step has figures to draw."));
    }

    #[test]
    fn the_page_of_one_cell_leaves_out_what_was_not_varied() {
        let survey = sample::survey_of_one_cell();
        let page = render(&survey).unwrap();
        assert!(is_well_formed(&page) && page.contains("Quick run of a reflector · "));
        assert!(!page.contains("What changes the cost") && !page.contains("not fitted"));
        assert!(!page.contains("No step has figures to draw.") && page.contains("p99 latency at 90 % load"));
        let text = escaped(&page::unbroken(&survey.headline));
        assert!(page.find(&text).unwrap() < page.find("<h2>").unwrap());
    }
}
