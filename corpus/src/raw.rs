//! A case file as YAML has it: text in fields, before any of it is understood.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use semantics::world::WorldConfig;

use crate::case::Verdict;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub name: String,
    pub story: Option<String>,
    pub program_type: Option<String>,
    pub license: Option<String>,
    pub load: Option<Load>,
    pub maps: Option<Pairs<Map>>,
    pub targets: Option<Pairs<String>>,
    pub asm: Option<String>,
    pub hex: Option<String>,
    pub object: Option<String>,
    pub section: Option<String>,
    pub packet: Option<String>,
    pub result: Option<String>,
    pub inputs: Option<Vec<Input>>,
    pub expect: Option<Expect>,
    pub finding: Option<Finding>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    pub attach_type: Option<String>,
    pub attach_to: Option<String>,
    #[serde(default)]
    pub strict_alignment: bool,
    #[serde(default)]
    pub test_state_freq: bool,
    #[serde(default)]
    pub sleepable: bool,
    #[serde(default)]
    pub frags: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Map {
    #[serde(rename = "type")]
    pub of: String,
    pub key_size: String,
    pub value_size: String,
    pub max_entries: String,
    pub flags: Option<Strings>,
    pub extra: Option<String>,
    pub fields: Option<Vec<Field>>,
    pub inner: Option<Box<Map>>,
    pub elements: Option<Vec<Element>>,
    pub maps: Option<Pairs<String>>,
    pub programs: Option<Pairs<String>>,
    #[serde(default)]
    pub frozen: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    pub kind: String,
    pub offset: String,
    pub of: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(default)]
    pub verdict: VerdictWord,
    pub message: Option<Strings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VerdictWord {
    #[default]
    Accept,
    Reject,
    Any,
}

impl From<VerdictWord> for Verdict {
    fn from(word: VerdictWord) -> Verdict {
        match word {
            VerdictWord::Accept => Verdict::Accept,
            VerdictWord::Reject => Verdict::Reject,
            VerdictWord::Any => Verdict::Any,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    pub packet: Option<String>,
    pub context: Option<Pairs<String>>,
    pub maps: Option<Pairs<Vec<Element>>>,
    #[serde(default)]
    pub world: WorldConfig,
    pub expect: Option<Outcome>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    pub result: Option<String>,
    #[serde(rename = "return")]
    pub returned: Option<String>,
    pub trap: Option<String>,
    pub packet: Option<String>,
    pub maps: Option<Pairs<Vec<Element>>>,
    pub world: Option<Pairs<Pairs<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Element {
    pub key: Option<String>,
    pub value: Option<String>,
    pub values: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    pub oracle: String,
    pub engines: Option<Strings>,
    pub difference: String,
    pub plant: Option<String>,
    pub target: Option<String>,
}

/// One string or a list of them.
#[derive(Debug)]
pub(crate) struct Strings(pub Vec<String>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Strings;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E>(self, text: &str) -> Result<Strings, E> {
                Ok(Strings(vec![text.to_owned()]))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Strings, E> {
                Ok(Strings(vec![number.to_string()]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Strings, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    all.push(text);
                }
                Ok(Strings(all))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// A mapping in the order of the file, with whatever keys it has, even twice.
#[derive(Debug)]
pub(crate) struct Pairs<T>(pub Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Pairs(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Seen<T> {
            type Value = Pairs<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Seen(PhantomData))
    }
}
