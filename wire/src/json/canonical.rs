//! JSON in the one form that can be signed: RFC 8785, for values whose numbers are integers.
//!
//! * Members sorted by name (as UTF-16), no white space, the shortest escapes.
//! * A number with a fraction or an exponent has no form here, so nobody needs to print floats alike.

use alloc::string::String;
use alloc::vec::Vec;
use serde_json::Value;

/// The canonical text of a value.
///
/// # Errors
/// A number that is no integer of at most 53 bits.
pub fn text(value: &Value) -> Result<String, NotCanonical> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (number, (name, value)) in members.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                quote(name, out);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
        Value::Number(number) => {
            let integer = number.as_i64().filter(|it| it.unsigned_abs() <= MAX_SAFE_INTEGER);
            let integer = integer.ok_or(NotCanonical)?;
            out.push_str(&alloc::format!("{integer}"));
        }
        Value::String(text) => quote(text, out),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Null => out.push_str("null"),
    }
    Ok(())
}

/// RFC 8785 section 3.2.2.2.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&alloc::format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A number that is no integer of at most 53 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number that is no integer from -(2^53 - 1) to 2^53 - 1 cannot be signed; write integers")]
pub struct NotCanonical;

/// 2^53 - 1: what every JSON reader keeps exact (RFC 7493 section 2.2).
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> Result<String, NotCanonical> {
        text(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn members_are_sorted_as_utf16_and_white_space_goes() {
        let given = "{ \"b\" : [ 1 , -2, true,null ] ,\n\"a\":{\"z\":\"\",\"y\":false}, \"\\u20ac\":1, \"\\ud83d\\ude00\":2, \"\\ufb33\":3}";
        let right = "{\"a\":{\"y\":false,\"z\":\"\"},\"b\":[1,-2,true,null],\"\u{20ac}\":1,\"\u{1f600}\":2,\"\u{fb33}\":3}";
        assert_eq!(canonical(given).unwrap(), right);
    }

    #[test]
    fn strings_take_the_shortest_escape() {
        let given = r#""\u0000\u001f\u0008\t\n\f\r\"\\\/\u00e9\u2028""#;
        assert_eq!(canonical(given).unwrap(), "\"\\u0000\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\u{e9}\u{2028}\"");
    }

    #[test]
    fn only_exact_integers_have_a_form() {
        assert_eq!(canonical("9007199254740991").unwrap(), "9007199254740991");
        for wrong in ["1.5", "1e3", "1.0", "9007199254740992", "18446744073709551615"] {
            assert_eq!(canonical(wrong), Err(NotCanonical), "{wrong}");
        }
    }
}
