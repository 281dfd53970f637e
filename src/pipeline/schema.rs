//! The JSON schema of the pipeline file, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::raw::RawPipeline;

/// The schema of a pipeline file, as JSON text: `pipelines/schema.json`.
///
/// It is made from the types that a file is read into and their comments, so it says what they say.
/// In the version (draft 7) that editors of TOML understand.
pub fn json_schema() -> String {
    format!("{:#}\n", schema())
}

pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft07().with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<RawPipeline>().to_value()
}

/// TOML has no null: a key that may be left out is left out.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_that_ships_is_the_one_of_this_version() {
        let shipped = include_str!("../../pipelines/schema.json");
        assert!(shipped == json_schema(), "write it anew: counter-machine check --schema > pipelines/schema.json");
    }

    #[test]
    fn it_knows_every_section_and_no_null() {
        let schema: Value = serde_json::from_str(&json_schema()).expect("JSON");
        let sections = schema["properties"].as_object().expect("the sections");
        for section in ["event", "counters", "features", "ratios"] {
            assert!(sections[section]["description"].is_string(), "{section} is described");
        }
        assert_eq!(schema["additionalProperties"], false);
        assert!(!json_schema().contains("null"));
    }

    #[test]
    fn the_pipelines_that_ship_name_it() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).expect("the pipelines") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).expect("a pipeline");
                assert!(text.starts_with("#:schema ./schema.json\n"), "{}", path.display());
            }
        }
    }
}
