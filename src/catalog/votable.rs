//! What a table says of itself in the words of the Virtual Observatory: its
//! columns as FIELDs, where it comes from as INFOs and PARAMs.
//!
//! Inside a Parquet file ([`document`]) this is VOParquet 1.0, an IVOA note of
//! January 2025: a VOTable whose TABLE has no DATA. The export to VOTable puts
//! rows between [`begin`] and [`end`].
//!
//! Invariant: the XML is well-formed whatever names and texts hold; what XML
//! 1.0 cannot hold at all (control characters) becomes U+FFFD. The same schema,
//! lengths and provenance give the same bytes.

use std::borrow::Cow;
use std::io::{self, Write};

use arrow::datatypes::{DataType, Field, Schema};
use parquet::file::metadata::KeyValue;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::run::ModelIdentity;

/// Keys of the note, in the footer of a Parquet file.
const VERSION_KEY: &str = "IVOA.VOTable-Parquet.version";
const CONTENT_KEY: &str = "IVOA.VOTable-Parquet.content";

/// Identifies the coordinate system among a document's elements.
const ICRS: &str = "hiwl-icrs";

/// A table, as far as it is described before its rows.
pub(crate) struct Description<'a> {
    /// The columns; their metadata hold unit, UCD and description.
    pub(crate) schema: &'a Schema,
    /// Longest text of each column in characters, where it is known: astropy
    /// needs a bound to join a description with the data of a Parquet file.
    pub(crate) lengths: Option<&'a [usize]>,
    /// What classified.
    pub(crate) model: &'a ModelIdentity,
    /// Provenance, as it is in the footers.
    pub(crate) infos: &'a [KeyValue],
}

/// The note's two key-values.
pub(crate) fn pairs(description: &Description<'_>) -> [KeyValue; 2] {
    [
        KeyValue::new(VERSION_KEY.to_owned(), "1.0".to_owned()),
        KeyValue::new(CONTENT_KEY.to_owned(), document(description)),
    ]
}

/// A VOTable without rows.
fn document(description: &Description<'_>) -> String {
    let mut writer = Writer::new(Vec::new());
    let written = begin(&mut writer, description).and_then(|()| end(&mut writer));
    written.expect("a vector takes whatever is written to it");
    String::from_utf8(writer.into_inner()).expect("quick-xml writes the UTF-8 it was given")
}

/// Everything before the rows: TABLE is left open.
pub(crate) fn begin<W: Write>(
    writer: &mut Writer<W>,
    description: &Description<'_>,
) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let root = BytesStart::new("VOTABLE").with_attributes([
        ("version", "1.4"),
        ("xmlns", "http://www.ivoa.net/xml/VOTable/v1.3"),
        ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
        (
            "xsi:schemaLocation",
            "http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/votable-1.4.xsd",
        ),
    ]);
    writer.write_event(Event::Start(root))?;
    writer.write_event(Event::Start(BytesStart::new("RESOURCE")))?;
    element(writer, "COOSYS", &[("ID", ICRS), ("system", "ICRS")], None)?;
    for pair in description.infos {
        let value = pair.value.as_deref().unwrap_or_default();
        element(writer, "INFO", &[("name", &pair.key), ("value", value)], None)?;
    }
    writer
        .write_event(Event::Start(BytesStart::new("TABLE").with_attributes([("name", "hiwl")])))?;
    text_element(
        writer,
        "DESCRIPTION",
        "Galaxies classified by shape with hiwl, one row an input",
    )?;
    for (index, field) in description.schema.fields().iter().enumerate() {
        let length = description.lengths.and_then(|lengths| lengths.get(index).copied());
        field_element(writer, field, length)?;
    }
    let model = description.model;
    param(writer, "model", "meta.id", "Name of the model", &model.name)?;
    param(writer, "model_sha256", "meta.checksum", "SHA-256 of the model file", &model.digest)?;
    let untrained = [
        ("name", "model_untrained"),
        ("datatype", "boolean"),
        ("value", if model.untrained { "true" } else { "false" }),
        ("ucd", "meta.code"),
    ];
    element(writer, "PARAM", &untrained, Some("Whether the labels mean nothing"))
}

/// Closes what [`begin`] opened.
pub(crate) fn end<W: Write>(writer: &mut Writer<W>) -> io::Result<()> {
    for name in ["TABLE", "RESOURCE", "VOTABLE"] {
        writer.write_event(Event::End(BytesEnd::new(name)))?;
    }
    Ok(())
}

fn field_element<W: Write>(
    writer: &mut Writer<W>,
    field: &Field,
    length: Option<usize>,
) -> io::Result<()> {
    let metadata = |key: &str| field.metadata().get(key).map(String::as_str);
    let bound = length.map_or("*".to_owned(), |length| format!("{}*", length.max(1)));
    let datatype = vo_type(field.data_type());
    let mut attributes = vec![("name", field.name().as_str()), ("datatype", datatype.name)];
    let values = match field.data_type() {
        DataType::FixedSizeList(_, length) => length.to_string(),
        _ => String::new(),
    };
    if datatype.is_text {
        attributes.push(("arraysize", &bound));
    } else if !values.is_empty() {
        attributes.push(("arraysize", &values));
    }
    attributes.extend(datatype.xtype.map(|xtype| ("xtype", xtype)));
    attributes.extend(metadata("unit").map(|unit| ("unit", unit)));
    attributes.extend(metadata("ucd").map(|ucd| ("ucd", ucd)));
    if metadata("ucd").is_some_and(|ucd| ucd.starts_with("pos.eq.")) {
        attributes.push(("ref", ICRS));
    }
    element(writer, "FIELD", &attributes, metadata("description"))
}

/// A type as VOTable calls it.
struct VoType {
    name: &'static str,
    is_text: bool,
    xtype: Option<&'static str>,
}

/// The least VOTable type that holds every value of an Arrow type. It has no
/// signed bytes and, but for bytes, no unsigned integers.
fn vo_type(data_type: &DataType) -> VoType {
    let number = |name| VoType { name, is_text: false, xtype: None };
    match data_type {
        DataType::Boolean => number("boolean"),
        DataType::UInt8 => number("unsignedByte"),
        DataType::Int8 | DataType::Int16 => number("short"),
        DataType::UInt16 | DataType::Int32 => number("int"),
        DataType::UInt32 | DataType::Int64 => number("long"),
        // It has no half precision either.
        DataType::Float16 | DataType::Float32 => number("float"),
        DataType::Float64 => number("double"),
        DataType::FixedSizeList(of, _) => vo_type(of.data_type()),
        // DALI 1.1, section 3.3: times are texts with this mark.
        DataType::Date32 | DataType::Timestamp(..) => {
            VoType { name: "char", is_text: true, xtype: Some("timestamp") }
        }
        // Up to VOTable 1.5 `char` is ASCII, and ids are in any script.
        _ => VoType { name: "unicodeChar", is_text: true, xtype: None },
    }
}

fn param<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    ucd: &str,
    description: &str,
    value: &str,
) -> io::Result<()> {
    let datatype = if value.is_ascii() { "char" } else { "unicodeChar" };
    let attributes = [
        ("name", name),
        ("datatype", datatype),
        ("arraysize", "*"),
        ("ucd", ucd),
        ("value", value),
    ];
    element(writer, "PARAM", &attributes, Some(description))
}

/// An element with attributes and, perhaps, a DESCRIPTION in it.
fn element<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    attributes: &[(&str, &str)],
    description: Option<&str>,
) -> io::Result<()> {
    let mut start = BytesStart::new(name);
    for (key, value) in attributes {
        start.push_attribute((*key, xml_text(value).as_ref()));
    }
    let Some(description) = description else {
        return writer.write_event(Event::Empty(start));
    };
    writer.write_event(Event::Start(start))?;
    text_element(writer, "DESCRIPTION", description)?;
    writer.write_event(Event::End(BytesEnd::new(name)))
}

/// `<name>text</name>`, the text escaped.
pub(crate) fn text_element<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    text: &str,
) -> io::Result<()> {
    if text.is_empty() {
        return writer.write_event(Event::Empty(BytesStart::new(name)));
    }
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    writer.write_event(Event::Text(BytesText::new(&xml_text(text))))?;
    writer.write_event(Event::End(BytesEnd::new(name)))
}

/// A text with U+FFFD for what XML 1.0 (section 2.2) does not allow in any
/// form.
fn xml_text(text: &str) -> Cow<'_, str> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(allowed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect())
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;

    use super::*;
    use crate::catalog::schema;
    use crate::tree::{Naming, Scheme};

    fn described(schema: &Schema, lengths: Option<&[usize]>, infos: &[KeyValue]) -> String {
        let model = ModelIdentity {
            digest: "ab".repeat(32),
            name: "B1 <é>".into(),
            untrained: true,
            scheme: None,
            oddness: false,
            features: None,
            naming: Naming::default(),
        };
        document(&Description { schema, lengths, model: &model, infos })
    }

    /// Element names with the value of one attribute, as a parser sees them.
    fn attributes(xml: &str, element: &str, attribute: &str) -> Vec<Option<String>> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = true;
        let mut found = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(e) | Event::Empty(e) if e.name().as_ref() == element => {
                    let value = e
                        .try_get_attribute(attribute)
                        .unwrap()
                        .map(|a| quick_xml::escape::unescape(&a.value).unwrap().into_owned());
                    found.push(value);
                }
                Event::Eof => return found,
                _ => {}
            }
        }
    }

    #[test]
    fn every_column_is_a_field_in_order() {
        let schema = schema::catalog_schema(&Scheme::hiwl(), None).unwrap();
        let lengths = vec![7; schema.fields().len()];
        let xml = described(&schema, Some(&lengths), &[]);
        let some = |text: &str| Some(text.to_owned());
        let names: Vec<_> = schema.fields().iter().map(|f| some(f.name())).collect();
        assert_eq!(attributes(&xml, "FIELD", "name"), names);
        let types = attributes(&xml, "FIELD", "datatype");
        assert_eq!(types[..3], [some("unicodeChar"), some("unicodeChar"), some("double")]);
        assert_eq!((&types[5], &types[12]), (&some("float"), &some("boolean")));
        assert_eq!(attributes(&xml, "FIELD", "arraysize")[..3], [some("7*"), some("7*"), None]);
        assert_eq!(attributes(&xml, "FIELD", "unit")[1..4], [None, some("deg"), some("deg")]);
        assert_eq!(attributes(&xml, "FIELD", "ref")[2], some(ICRS));
    }

    #[test]
    fn names_and_texts_of_any_kind_come_back() {
        let odd = "a<b>&\"c'\n\t]]> é 星";
        let schema = Schema::new(vec![
            Field::new(odd, DataType::Int8, true),
            Field::new("nul\0\u{1}\u{ffff}", DataType::Utf8, false),
        ]);
        let infos = [KeyValue::new("hiwl.settings".into(), format!("{{\"x\": \"{odd}\"}}"))];
        let xml = described(&schema, None, &infos);
        assert_eq!(
            attributes(&xml, "FIELD", "name"),
            [Some(odd.to_owned()), Some("nul\u{fffd}\u{fffd}\u{fffd}".to_owned())]
        );
        assert_eq!(attributes(&xml, "INFO", "value"), [infos[0].value.clone()]);
        assert_eq!(attributes(&xml, "PARAM", "value")[0].as_deref(), Some("B1 <é>"));
        assert_eq!(attributes(&xml, "FIELD", "arraysize"), [None, Some("*".to_owned())]);
        assert_eq!(xml, described(&schema, None, &infos));
    }
}
