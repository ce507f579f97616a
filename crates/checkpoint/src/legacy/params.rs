//! Training parameters: a Python dictionary as JSON.
//!
//! Here: the conversion, bounded in depth and in number of values, because in a pickle the same
//! list can occur in itself's neighbour again and again, and JSON would write out every copy.

use serde_json::{Map, Value as Json, json};

use super::pickle::{Integer, Items, Kind, Value};
use crate::metadata::render_number;

/// Deepest nesting of a parameter; NeuralTalk's are all plain numbers and strings.
const MAX_DEPTH: usize = 8;

/// Most values in all parameters together.
const MAX_VALUES: usize = 10_000;

/// A dictionary with string keys as a JSON object, in the file's order.
pub(super) fn parse_params(params: Value<'_>) -> Result<Map<String, Json>, String> {
    let mut left = MAX_VALUES;
    match parse(params, "params", MAX_DEPTH, &mut left)? {
        Json::Object(map) => Ok(map),
        _ => Err(format!(
            "`params` is {}, expected a dictionary",
            params.kind_name()
        )),
    }
}

fn parse(value: Value<'_>, name: &str, depth: usize, left: &mut usize) -> Result<Json, String> {
    if depth == 0 {
        return Err(format!("`{name}` is nested more than {MAX_DEPTH} deep"));
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| format!("`{name}`: more than {MAX_VALUES} values in the parameters"))?;
    let mut list = |items: Items<'_>| {
        let parse = |item| parse(item, name, depth - 1, left);
        items.iter().map(parse).collect::<Result<Vec<_>, _>>()
    };
    Ok(match value.kind() {
        Kind::None => Json::Null,
        Kind::Bool(on) => Json::Bool(on),
        Kind::Integer(Integer::Small(n)) => json!(n),
        Kind::Integer(n) if n.as_u64().is_some() => json!(n.as_u64()),
        Kind::Float(x) => render_number(x),
        Kind::Scalar(..) => match value.as_i64() {
            Some(n) => json!(n),
            None => render_number(value.as_f64().unwrap_or(f64::NAN)),
        },
        Kind::Bytes(_) | Kind::Text(_) => match value.as_str() {
            Some(text) => json!(text),
            None => return Err(format!("`{name}` is not UTF-8 text")),
        },
        Kind::List(items) | Kind::Tuple(items) | Kind::Set(items) => Json::Array(list(items)?),
        Kind::Dict => {
            let mut map = Map::new();
            for (key, value) in value.pairs().into_iter().flatten() {
                let key = key
                    .as_str()
                    .ok_or_else(|| format!("`{name}` has {} as a key", key.kind_name()))?;
                map.insert(key.into(), parse(value, key, depth - 1, left)?);
            }
            Json::Object(map)
        }
        Kind::Integer(_) | Kind::Array(_) | Kind::Dtype(_) | Kind::Other => {
            return Err(format!(
                "`{name}` is {}, expected a number or a string",
                value.kind_name()
            ));
        }
    })
}
