//! The tables of every report: for a page, for Markdown and for a terminal.
//!
//! * Every column of numbers names its unit; numbers are aligned at the right, words at the left.
//! * Wider than the screen, a table on a page scrolls by itself and the page does not.
//! * Text of a result is escaped, whatever it holds.

use crate::draw::plot::escaped;
use crate::judge::spread::Spread;
use crate::rig::environment::Fact;

/// A table that can be shown anywhere.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it shows.
    pub caption: &'static str,
    /// Its columns.
    pub head: Vec<Column>,
    /// Its rows, each of which fills every column.
    pub rows: Vec<Vec<String>>,
}

/// A column's heading.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Words.
    Words(&'static str),
    /// Numbers, and their unit.
    Numbers(&'static str, &'static str),
}

use Column::{Numbers, Words};

impl Table {
    /// As HTML.
    pub fn html(&self) -> String {
        let head: String = self.head.iter().map(|column| column.heading()).collect();
        let cell = |(column, text): (&Column, &String)| match column {
            Words(_) => format!("<td>{}</td>", escaped(text)),
            Numbers(..) => format!("<td class=\"n\">{}</td>", escaped(text)),
        };
        let row = |cells: &Vec<String>| {
            let cells: String = self.head.iter().zip(cells).map(cell).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption>\n\
             <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
            escaped(self.caption)
        )
    }

    /// For a terminal: columns aligned, lines ended.
    pub fn terminal(&self) -> String {
        let mut rows: Vec<Vec<String>> = vec![
            self.head.iter().map(|column| column.name().to_owned()).collect(),
            self.head.iter().map(|column| column.unit().to_owned()).collect(),
        ];
        rows.extend(self.rows.iter().cloned());
        let width = |place: usize| {
            rows.iter().filter_map(|row| Some(row.get(place)?.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&self.head).map(|((cell, width), column)| match column {
                Numbers(..) => format!("{cell:>width$}"),
                Words(_) => format!("{cell:<width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let name = |column: &Column| match column.unit() {
            "" => column.name().to_owned(),
            unit => format!("{}, {unit}", column.name()),
        };
        let line = |cells: &[String]| {
            let cells: Vec<String> =
                cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = |column: &Column| if matches!(column, Words(_)) { "---" } else { "---:" }.to_owned();
        let head: Vec<String> = self.head.iter().map(name).collect();
        let rule: Vec<String> = self.head.iter().map(rule).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&head) + &line(&rule) + &rows
    }
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Words(name) | Numbers(name, _) => name,
        }
    }

    /// Its unit; words have none.
    fn unit(self) -> &'static str {
        match self {
            Words(_) => "",
            Numbers(_, unit) => unit,
        }
    }

    fn heading(self) -> String {
        match self {
            Words(name) => format!("<th scope=\"col\">{}</th>", escaped(name)),
            Numbers(name, unit) => format!(
                "<th scope=\"col\" class=\"n\">{}<span class=\"unit\">{}</span></th>",
                escaped(name),
                escaped(unit)
            ),
        }
    }
}

/// Facts about the machine and the programs.
pub fn facts(caption: &'static str, facts: &[Fact]) -> Table {
    let row = |fact: &Fact| vec![fact.name.clone(), fact.value.clone()];
    Table { caption, head: vec![Words("What"), Words("Value")], rows: facts.iter().map(row).collect() }
}

/// The least and the most of a spread.
pub fn range(spread: Spread, shown: impl Fn(f64) -> String) -> String {
    format!("{} – {}", shown(spread.least), shown(spread.most))
}

/// What stands where nothing was measured.
pub fn nothing() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::environment::fact;

    #[test]
    fn facts_are_escaped() {
        let table = facts("x", &[fact("Processor", "Example <CPU> & Co.")]);
        assert!(table.html().contains("Example &lt;CPU&gt; &amp; Co."));
    }

    #[test]
    fn markdown_has_a_rule_and_keeps_bars_out() {
        let head = vec![Words("a"), Numbers("b", "µs")];
        let table = Table { caption: "x", head, rows: vec![vec!["x|y".to_owned(), "1".to_owned()]] };
        assert_eq!(table.markdown(), "| a | b, µs |\n| --- | ---: |\n| x\\|y | 1 |\n");
        assert_eq!(table.terminal(), "a     b\n     µs\nx|y   1\n");
    }
}
