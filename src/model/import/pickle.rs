//! A pickle as data: what it describes, never what it would do.
//!
//! Opcodes of protocols 0 to 4 that PyTorch's checkpoints hold are read
//! (`pickletools` in CPython documents each); calls are kept as descriptions
//! and nothing is executed. What the description means is left to
//! [`super::pth`].
//!
//! Objects lie in one list and refer to one another by number. So an object
//! that a pickle names a thousand times is held once, nothing is copied or
//! walked by recursion, and what a pickle may make is bounded by [`OBJECTS`]
//! and [`REFERENCES`] and by its own length.

use crate::limits::model::{OBJECTS, REFERENCES};

/// An object of a pickle by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

/// What a pickle describes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    /// None, booleans, floats, bytes, sets: nothing that a tensor is made of.
    Other,
    Int(i64),
    Text(String),
    /// A name that would be imported.
    Global {
        module: String,
        name: String,
    },
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What a call would return.
    Call {
        callable: Id,
        arguments: Id,
    },
    /// An object whose state is set.
    Stateful {
        state: Id,
    },
    /// What lies outside the pickle, such as a storage.
    Persistent(Id),
}

/// The objects of a pickle and which of them it stands for.
#[derive(Debug)]
pub(super) struct Pickle {
    objects: Vec<Object>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle up to its STOP.
    ///
    /// # Errors
    /// A phrase for a person: what is wrong with it, and where.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader {
            bytes,
            at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            references: 0,
        };
        let root = reader.run().map_err(|what| format!("{what}, before byte {}", reader.at))?;
        Ok(Self { objects: reader.objects, root })
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id.0 as usize]
    }
}

/// What is wrong, in words.
type Flaw = &'static str;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack at which a MARK lies.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    /// References and memo entries made so far.
    references: usize,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<Id, Flaw> {
        loop {
            match self.byte()? {
                b'.' => return self.pop(),
                opcode => self.step(opcode)?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Flaw> {
        match opcode {
            // PROTO, FRAME
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            // POP, POP_MARK
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),

            // NONE, NEWTRUE, NEWFALSE, BINFLOAT, bytes of three lengths, EMPTY_SET
            b'N' | 0x88 | 0x89 | 0x8f => self.push(Object::Other)?,
            b'G' => {
                self.take(8)?;
                self.push(Object::Other)?;
            }
            b'C' | b'U' => self.skipped(1)?,
            b'B' | b'T' => self.skipped(4)?,
            0x8e | 0x96 => self.skipped(8)?,

            // BININT, BININT1, BININT2, LONG1
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Object::Int(value.into()))?;
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Object::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Object::Int(value.into()))?;
            }
            0x8a => self.long()?,

            // BINUNICODE, BINUNICODE8, SHORT_BINUNICODE
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            0x8c => self.text(1)?,

            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global { module, name })?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Object::Text(module), Object::Text(name)) =
                    (self.object(module).clone(), self.object(name).clone())
                else {
                    return Err("an import without a name");
                };
                self.push(Object::Global { module, name })?;
            }

            // EMPTY_TUPLE, TUPLE, TUPLE1 to TUPLE3
            b')' => self.push(Object::Tuple(Vec::new()))?,
            b't' => {
                let items = self.pop_mark()?;
                self.tuple(items)?;
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or("an empty stack")?;
                let items = self.stack.split_off(self.above_mark(from)?);
                self.tuple(items)?;
            }

            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.push(Object::List(Vec::new()))?,
            b'l' => {
                let items = self.pop_mark()?;
                self.refer(items.len())?;
                self.push(Object::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }

            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Object::Dict(Vec::new()))?;
                self.set_items(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }

            // REDUCE, NEWOBJ, BUILD, BINPERSID
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = match self.object(callable) {
                    Object::Global { module, name }
                        if module == "collections"
                            && (name == "OrderedDict" || name == "defaultdict") =>
                    {
                        Object::Dict(Vec::new())
                    }
                    _ => Object::Call { callable, arguments },
                };
                self.refer(2)?;
                self.push(made)?;
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.pop()?);
                match self.object(object) {
                    // A dictionary's own attributes, such as `_metadata`.
                    Object::Dict(_) => self.stack.push(object),
                    _ => self.push(Object::Stateful { state })?,
                }
            }
            b'Q' => {
                let what = self.pop()?;
                self.push(Object::Persistent(what))?;
            }

            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let slot = self.byte()?.into();
                self.memoize(slot)?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?) as usize;
                self.memoize(slot)?;
            }
            0x94 => self.memoize(self.memo.len())?,
            b'h' => {
                let slot = self.byte()?.into();
                self.recall(slot)?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?) as usize;
                self.recall(slot)?;
            }
            _ => return Err("an opcode that no checkpoint of PyTorch's has"),
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Flaw> {
        let rest = &self.bytes[self.at..];
        let bytes = rest.get(..count).ok_or("it ends too early")?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A length of `width` bytes, little-endian.
    fn length(&mut self, width: usize) -> Result<usize, Flaw> {
        let bytes = self.take(width)?;
        let length = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(length).map_err(|_| "it ends too early")
    }

    fn skipped(&mut self, width: usize) -> Result<(), Flaw> {
        let length = self.length(width)?;
        self.take(length)?;
        self.push(Object::Other)
    }

    fn text(&mut self, width: usize) -> Result<(), Flaw> {
        let length = self.length(width)?;
        let text = str::from_utf8(self.take(length)?).map_err(|_| "text that is not UTF-8")?;
        let text = Object::Text(text.to_owned());
        self.push(text)
    }

    fn line(&mut self) -> Result<String, Flaw> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
        let line = self.take(end)?;
        let line = str::from_utf8(line).map_err(|_| "a name that is not UTF-8")?.to_owned();
        self.at += 1;
        Ok(line)
    }

    fn long(&mut self) -> Result<(), Flaw> {
        let length = self.length(1)?;
        let bytes = self.take(length)?;
        if length > 8 {
            // Nothing that counts elements of a tensor.
            return self.push(Object::Other);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut filled = if negative { [0xFF; 8] } else { [0; 8] };
        filled[..length].copy_from_slice(bytes);
        self.push(Object::Int(i64::from_le_bytes(filled)))
    }

    fn object(&self, id: Id) -> &Object {
        &self.objects[id.0 as usize]
    }

    fn push(&mut self, object: Object) -> Result<(), Flaw> {
        let id = u32::try_from(self.objects.len()).ok().filter(|id| (*id as usize) < OBJECTS);
        self.stack.push(Id(id.ok_or("more objects than any checkpoint has")?));
        self.objects.push(object);
        Ok(())
    }

    fn refer(&mut self, count: usize) -> Result<(), Flaw> {
        self.references += count;
        if self.references > REFERENCES {
            return Err("more references than any checkpoint has");
        }
        Ok(())
    }

    /// `height` of the stack, unless a MARK lies above it.
    fn above_mark(&self, height: usize) -> Result<usize, Flaw> {
        match self.marks.last() {
            Some(mark) if *mark > height => Err("an empty stack"),
            _ => Ok(height),
        }
    }

    fn pop(&mut self) -> Result<Id, Flaw> {
        let height = self.stack.len().checked_sub(1).ok_or("an empty stack")?;
        self.above_mark(height)?;
        self.stack.pop().ok_or("an empty stack")
    }

    fn last(&self) -> Result<Id, Flaw> {
        self.stack.last().copied().ok_or("an empty stack")
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, Flaw> {
        let mark = self.marks.pop().ok_or("a MARK is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, items: Vec<Id>) -> Result<(), Flaw> {
        self.refer(items.len())?;
        self.push(Object::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Flaw> {
        self.refer(items.len())?;
        let list = self.last()?;
        // Appending to an object is a call that is not made.
        if let Object::List(list) = &mut self.objects[list.0 as usize] {
            list.extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Flaw> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without its value");
        }
        self.refer(items.len())?;
        let dict = self.last()?;
        if let Object::Dict(entries) = &mut self.objects[dict.0 as usize] {
            entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        }
        Ok(())
    }

    fn memoize(&mut self, slot: usize) -> Result<(), Flaw> {
        let object = self.last()?;
        if slot >= REFERENCES {
            return Err("a memo larger than any checkpoint's");
        }
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(object);
        Ok(())
    }

    fn recall(&mut self, slot: usize) -> Result<(), Flaw> {
        let object = self.memo.get(slot).copied().flatten().ok_or("an object without its memo")?;
        self.refer(1)?;
        self.stack.push(object);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirty tuples, each of the one before it twice: 2³⁰ if they were copied.
    #[test]
    fn an_object_that_is_named_again_and_again_is_held_once() {
        let mut bytes = vec![0x80, 2, b')'];
        for _ in 0..30 {
            bytes.extend([b'q', 0, b'h', 0, 0x86]);
        }
        bytes.push(b'.');
        let pickle = Pickle::read(&bytes).unwrap();
        assert_eq!(pickle.objects.len(), 31);
        let Object::Tuple(items) = pickle.get(pickle.root()) else { panic!("no tuple") };
        assert!(items.len() == 2 && items[0] == items[1]);
    }

    #[test]
    fn a_million_levels_are_read_and_dropped_without_recursion() {
        let levels = 1_000_000;
        let mut bytes = vec![b']'; levels];
        bytes.extend(vec![b'a'; levels - 1]);
        bytes.push(b'.');
        let pickle = Pickle::read(&bytes).unwrap();
        assert_eq!(pickle.objects.len(), levels);
    }

    #[test]
    fn more_than_any_checkpoint_has_is_refused() {
        let endless = [vec![b'N'; OBJECTS + 1], vec![b'.']].concat();
        assert!(Pickle::read(&endless).unwrap_err().contains("more objects"));
        let far = [vec![b'N', b'r'], u32::MAX.to_le_bytes().to_vec(), vec![b'.']].concat();
        assert!(Pickle::read(&far).unwrap_err().contains("memo"));
        let long = [vec![b'X'], u32::MAX.to_le_bytes().to_vec(), vec![b'a', b'.']].concat();
        assert!(Pickle::read(&long).unwrap_err().contains("too early"));
        // A tuple that doubles what lies on the stack, again and again.
        let mut doubling = vec![b'N', b'q', 0, b'('];
        doubling.extend([b'h', 0].repeat(REFERENCES + 1));
        assert!(Pickle::read(&doubling).unwrap_err().contains("more references"));
    }

    #[test]
    fn stacks_and_marks_that_do_not_fit_are_errors() {
        for bytes in [
            &b"."[..],
            b"R.",
            b"(0.",
            b"N(\x85.",
            b"t.",
            b"(Nd.",
            b"}(Nu.",
            b"h\x05.",
            b"NN\x93.",
            b"c\n",
            b"",
            b"\xff.",
        ] {
            assert!(Pickle::read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_python_writes_them() {
        let int = |bytes: &[u8]| {
            let pickle = Pickle::read(bytes).unwrap();
            match pickle.get(pickle.root()) {
                Object::Int(value) => *value,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(int(b"J\xff\xff\xff\xff."), -1);
        assert_eq!(int(b"M\x00\x01."), 256);
        assert_eq!(int(b"\x8a\x00."), 0);
        assert_eq!(int(b"\x8a\x02\x00\xff."), -256);
        assert_eq!(int(b"\x8a\x05\x00\x00\x00\x80\x00."), 1 << 31);
    }
}
