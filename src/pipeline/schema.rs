//! The JSON schema of the pipeline file, for editors.

use schemars::generate::SchemaSettings;

use super::raw::RawPipeline;

/// The schema of a pipeline file, as JSON text: `pipelines/schema.json`.
///
/// It is made from the types that a file is read into and their comments, so it says what they say.
/// In the version (draft 7) that editors of TOML understand.
pub fn json_schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<RawPipeline>();
    format!("{:#}\n", schema.as_value())
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
