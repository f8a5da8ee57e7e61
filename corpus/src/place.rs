//! Where in a YAML text something stands.
//!
//! The YAML reader tells places only with its own errors. So the text is read once more, by a visitor that goes down the
//! path and refuses what it finds at its end.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step down into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The value of this field.
    Field(&'static str),
    /// The element of a sequence, or the value of an entry of a mapping, with this number.
    Nth(usize),
    /// The key of the entry of a mapping with this number.
    Key(usize),
}

/// Line and column, from 1, of what the path leads to, or of the last thing that is there on the way.
pub(crate) fn find(text: &str, path: &[Step]) -> Option<(usize, usize)> {
    let refused = Probe(path).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    refused.location().map(|place| (place.line(), place.column()))
}

/// Goes down a path and fails at its end.
struct Probe<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn here<T, E: Error>() -> Result<T, E> {
    Err(E::custom("here"))
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        here()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        here()
    }
    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        here()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        here()
    }
    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        here()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        here()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        here()
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        here()
    }
    fn visit_none<E: Error>(self) -> Result<(), E> {
        here()
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Nth(nth), rest)) = self.0.split_first() else { return here() };
        for _ in 0..*nth {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return here();
            }
        }
        seq.next_element_seed(Probe(rest))?;
        here()
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return here() };
        for nth in 0.. {
            if *step == Step::Key(nth) {
                map.next_key_seed(Probe(&[]))?;
                return here();
            }
            let Some(key) = map.next_key::<String>()? else { return here() };
            let wanted = match step {
                Step::Field(name) => key == *name,
                Step::Nth(wanted) => nth == *wanted,
                Step::Key(_) => false,
            };
            if wanted {
                map.next_value_seed(Probe(rest))?;
                return here();
            }
            map.next_value::<IgnoredAny>()?;
        }
        here()
    }
}
