//! The README shows the examples, which are compiled with the tests.

#[test]
fn the_readme_shows_the_examples_as_they_are() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> = readme
        .split("```rust")
        .skip(1)
        .map(|rest| rest.split_once('\n').unwrap().1.split("```").next().unwrap())
        .collect();
    let examples = [include_str!("../../examples/hello.rs"), include_str!("../../examples/chat.rs")];
    assert_eq!(blocks, examples.map(shown));
}

/// An example without the lines that say what it is and which lints hold.
fn shown(example: &str) -> &str {
    let mut rest = example;
    while let Some((line, after)) = rest.split_once('\n')
        && (line.is_empty() || line.starts_with("//!") || line.starts_with("#!["))
    {
        rest = after;
    }
    rest
}
