//! The files of a sweep's report: what a dated report consists of.
//!
//! * `README.md` to read, `report.html` with the charts, `report.json` for `plan`, `compare` and other machines.
//! * All are made from the same data; an old report can be made again.

use crate::draw::files;
use crate::draw::page::moment;
use crate::draw::tables;
use crate::draw::tables::Table;
use crate::judge::survey::{SCHEMA, Survey};
use crate::sweep::ledger;
use crate::sweep::page;
use crate::sweep::page::{is_varied, method, validity_notes};
use crate::sweep::tables as sheets;
use anyhow::Context;
use std::fs;
use std::path::Path;

/// Writes all files into a folder, which is made if need be.
///
/// # Errors
/// A file that cannot be written, or a chart that cannot be drawn.
pub fn write(survey: &Survey, folder: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string(survey).context("cannot write the report as JSON")? + "\n";
    let files = [("README.md", readme(survey)), ("report.html", page::render(survey)?), (FILE, json)];
    files::write(folder, &files)
}

/// Reads a report's JSON, or makes it from the folder of a sweep.
///
/// # Errors
/// There is neither, or one of another version.
pub fn read(path: &Path) -> anyhow::Result<Survey> {
    if path.join(ledger::HEAD).exists() {
        let (header, runs) = (ledger::header_of(path)?, ledger::runs_of(path)?);
        return Survey::of(header, &runs, &ledger::commands_of(path));
    }
    let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let text = fs::read_to_string(&file).with_context(|| {
        format!(
            "{} is no report; `reflector-perf sweep` and `reflector-perf report DIR` make one",
            path.display()
        )
    })?;
    Survey::parse(&text).with_context(|| file.display().to_string())
}

/// The report in Markdown.
pub fn readme(survey: &Survey) -> String {
    let mut text = format!(
        "# {}, {}\n\n{}\n",
        page::kind(survey),
        moment(survey.header.started_unix_s),
        survey.headline
    );
    let mut section = |title: &str, body: &str| text.push_str(&format!("\n## {title}\n\n{body}"));
    let list = |items: &[String]| items.iter().map(|item| format!("* {item}\n")).collect::<String>();
    section("Capacity and cost", &sheets::capacities(survey).markdown());
    section("Latency", &sheets::latencies(survey).markdown());
    let laws: Vec<String> = survey.scaling.iter().map(crate::judge::survey::Scaling::in_words).collect();
    if is_varied(survey) {
        section("Scaling over workers", &list(&laws));
    }
    section("Memory against endpoints", &sheets::memory(survey).markdown());
    section("Delivery by NAT pair", &sheets::nat_pairs(survey).markdown());
    section("Method", &format!("{}\n", method(survey)));
    section("Validity", &list(&validity_notes(survey)));
    section("Environment", &environment(survey).markdown());
    let commands: String = survey.commands.iter().map(|command| format!("{command}\n")).collect();
    section("Commands", &format!("```text\n{}\n{commands}```\n", survey.header.command));
    text.push_str(&format!(
        "\n[report.html](report.html) has the charts, [{FILE}]({FILE}) (schema {SCHEMA}) every figure.\n"
    ));
    text
}

fn environment(survey: &Survey) -> Table {
    let facts = &survey.header.environment;
    let groups = [&facts.machine, &facts.versions, &facts.mitigations, &facts.sysctls];
    tables::facts("Environment", &groups.map(Vec::as_slice).concat())
}

/// The name of a report's JSON in its folder.
pub const FILE: &str = "report.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_report_is_three_files_and_reads_back() {
        let scratch = lab::programs::scratch::Scratch::new().unwrap();
        let folder = scratch.path().join("a/b");
        let survey = sample::survey();
        write(&survey, &folder).unwrap();
        assert_eq!(read(&folder).unwrap().headline, survey.headline);
        assert_eq!(read(&folder.join(FILE)).unwrap().header, survey.header);
        let text = fs::read_to_string(folder.join("README.md")).unwrap();
        let parts = ["Capacity and cost", "Latency", "Method", "Validity", "Environment", "Commands"];
        assert!(parts.iter().all(|part| text.contains(&format!("\n## {part}\n"))), "{text}");
        assert!(text.contains("```text\nreflector-perf sweep --rounds 3\n"));
        assert!(read(Path::new("/nonexistent")).unwrap_err().to_string().contains("is no report"));
        let error = write(&survey, &folder.join(FILE)).unwrap_err();
        assert!(format!("{error:#}").contains("--out"));
    }
}
