//! Values packed into bytes that are the same just when the values are.

use crate::model::Value;

/// About how many bytes a value takes in a record.
pub(super) fn weight(value: &Value<'_>) -> usize {
    match value {
        Value::Text(bytes) | Value::Blob(bytes) => bytes.len() + 2,
        _ => 9,
    }
}

/// Appends a value: a letter for its class, the length where it varies, the bytes.
pub(super) fn pack(value: &Value<'_>, out: &mut Vec<u8>) {
    let mut long = |class: u8, bytes: &[u8]| {
        out.push(class);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Text(bytes) => long(b't', bytes),
        Value::Blob(bytes) => long(b'b', bytes),
        Value::Null => out.push(b'n'),
        Value::Integer(i) => {
            out.push(b'i');
            out.extend_from_slice(&i.to_le_bytes());
        }
        Value::Real(r) => {
            out.push(b'r');
            out.extend_from_slice(&r.to_bits().to_le_bytes());
        }
    }
}

/// All of a key's values, packed.
pub(super) fn packed(values: &[Value<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| pack(value, &mut out));
    out
}

/// Appends the values that `packed` holds; false when it holds something else.
pub(super) fn unpack<'a>(mut packed: &'a [u8], values: &mut Vec<Value<'a>>) -> bool {
    while let Some((class, rest)) = packed.split_first() {
        let Some((value, rest)) = unpack_one(*class, rest) else {
            return false;
        };
        values.push(value);
        packed = rest;
    }
    true
}

fn unpack_one(class: u8, rest: &[u8]) -> Option<(Value<'_>, &[u8])> {
    if class == b'n' {
        return Some((Value::Null, rest));
    }
    let (number, rest) = rest.split_first_chunk::<8>()?;
    match class {
        b'i' => Some((Value::Integer(i64::from_le_bytes(*number)), rest)),
        b'r' => Some((Value::Real(f64::from_bits(u64::from_le_bytes(*number))), rest)),
        b't' | b'b' => {
            let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*number)).ok()?)?;
            let value = match class {
                b't' => Value::Text(bytes.into()),
                _ => Value::Blob(bytes.into()),
            };
            Some((value, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_values_come_back_and_differ_when_the_values_do() {
        let values = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(-0.0),
            Value::Real(0.0),
            Value::Integer(1),
            Value::Real(1.0),
            Value::Text(b"\xff\0".into()),
            Value::Blob(b"\xff\0".into()),
            Value::Text(b"".into()),
        ];
        let bytes = packed(&values);
        let mut back = Vec::new();
        assert!(unpack(&bytes, &mut back));
        assert_eq!(back, values);
        assert!(!unpack(&bytes[..bytes.len() - 1], &mut Vec::new()));
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(packed(&[a.borrow()]) == packed(&[b.borrow()]), i == j, "{a:?} {b:?}");
            }
        }
    }
}
