//! stub
#![allow(missing_docs, clippy::all)]
use super::*;
use crate::counter::EventTime;
use std::sync::Arc;
#[derive(Clone, Copy)]
pub enum Utf8 {
    Checked,
    Unchecked,
}
pub struct Decoder {
    schema: Arc<EventSchema>,
    keys: Vec<Option<Vec<u8>>>,
    values: Vec<Option<f64>>,
    name: Vec<u8>,
    time: EventTime,
}
pub struct Event<'a>(&'a Decoder);
impl<'a> Event<'a> {
    pub fn name(&self) -> &'a [u8] {
        &self.0.name
    }
    pub fn time(&self) -> EventTime {
        self.0.time
    }
    pub fn key(&self, f: FieldId) -> Option<&'a [u8]> {
        self.0.keys[f.0 as usize].as_deref()
    }
    pub fn value(&self, f: FieldId) -> Option<f64> {
        self.0.values[f.0 as usize]
    }
}
impl Decoder {
    pub fn new(schema: Arc<EventSchema>) -> Decoder {
        Decoder { schema, keys: vec![], values: vec![], name: vec![], time: EventTime(0) }
    }
    pub fn decode<'a>(
        &'a mut self,
        bytes: &'a [u8],
        _arrival: EventTime,
        _utf8: Utf8,
    ) -> Result<Option<Event<'a>>, Reason> {
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        let v: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| Reason::NotAnObject)?;
        self.name = v[&self.schema.name_field].as_str().ok_or(Reason::BadName)?.as_bytes().to_vec();
        self.time = EventTime(v[&self.schema.time_field].as_i64().ok_or(Reason::BadTime)?);
        self.keys = self
            .schema
            .fields
            .iter()
            .map(|f| match &v[&f.name] {
                serde_json::Value::String(s) if !s.is_empty() => Some(s.as_bytes().to_vec()),
                serde_json::Value::Number(n) => Some(n.to_string().into_bytes()),
                _ => None,
            })
            .collect();
        self.values = self.schema.fields.iter().map(|f| v[&f.name].as_f64()).collect();
        Ok(Some(Event(self)))
    }
}
