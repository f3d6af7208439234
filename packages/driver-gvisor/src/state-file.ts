/**
 * Reads the part of a gVisor checkpoint that describes its kernel's objects (`checkpoint.img`), as far as looking for some
 * objects and their fields needs it. The format is that of gVisor's pkg/state/wire without compression: after a header, chunks
 * of bytes; in them streams of types and numbered objects.
 */

import { ChunkReader, StateFileError, TornFileError } from './chunk-reader.ts';

/** Where the bytes of a value stand in the file, its header's first, so that it can be overwritten in place. */
export type Offsets = readonly number[];

/** A field that points to another object, by that one's number. */
export interface Reference {
  kind: 'reference';
  object: number;
  /** Absent: it points into the object's inside. */
  offsets?: Offsets;
}

export interface StoredUint {
  kind: 'uint';
  value: number;
  offsets: Offsets;
}

/** What is false most often is not stored: such a field is `Skipped`. */
export interface StoredBool {
  kind: 'bool';
  value: boolean;
  offsets: Offsets;
}

/** A map's values, as far as they are references to whole objects. */
export interface ReferenceMap {
  kind: 'map';
  values: number[];
}

/** A struct within another. */
export interface Inner {
  kind: 'struct';
  fields: Fields;
}

/** Anything else: read over. */
export interface Skipped {
  kind: 'skipped';
}

export type FieldValue = Reference | StoredUint | StoredBool | ReferenceMap | Inner | Skipped;

/** By name. */
export type Fields = ReadonlyMap<string, FieldValue>;

/** Takes what is found, object by object. */
export interface StateVisitor {
  /** The types of structs that it takes; the others are read over. */
  types: ReadonlySet<string>;
  /** A struct of one of the types that is an object of its own. */
  onStruct?(object: number, type: string, fields: Fields): void;
  /** A map that is an object of its own. */
  onMap?(object: number, map: ReferenceMap): void;
  /** A struct of one of the types that is an element of an array. */
  onElement?(type: string, fields: Fields): void;
}

const MAGIC = Buffer.from('gVisorSF');
/** Of the metadata: a few names and values. */
const MAX_METADATA_BYTES = 64 * 1024;
/** Values in values; gVisor's own are in some ten. */
const MOST_LEVELS = 64;
/** SHA-256 over the metadata. */
const METADATA_DIGEST_BYTES = 32;

/** Headers of values, as in pkg/state/wire. */
const BOOL = 0;
const INT = 1;
const UINT = 2;
const FLOAT32 = 3;
const FLOAT64 = 4;
const NIL = 5;
const REF = 6;
const STRING = 7;
const SLICE = 8;
const ARRAY = 9;
const MAP = 10;
const STRUCT = 11;
const NO_OBJECTS = 12;
const MULTIPLE_OBJECTS = 13;
const INTERFACE = 14;
const COMPLEX64 = 15;
const COMPLEX128 = 16;
const TYPE = 17;

/** Headers of type specifications. */
const SPEC_ID = 0;
const SPEC_POINTER = 1;
const SPEC_ARRAY = 2;
const SPEC_SLICE = 3;
const SPEC_MAP = 4;
const SPEC_NIL = 5;

const SKIPPED: Skipped = { kind: 'skipped' };

interface StructType {
  name: string;
  fields: string[];
}

/**
 * Shows the objects of the stream that holds the sandbox's kernel to a visitor.
 * @param rootType names the type that tells this stream from others before it.
 * @throws StateFileError
 */
export function readState(image: Buffer, rootType: string, visitor: StateVisitor): void {
  const begin = MAGIC.length + 8;
  if (image.length < begin) throw new TornFileError('it ends too early');
  if (!image.subarray(0, MAGIC.length).equals(MAGIC)) throw new StateFileError('it is no gVisor checkpoint');
  const metadataBytes = Number(image.readBigUInt64BE(MAGIC.length));
  if (metadataBytes > MAX_METADATA_BYTES)
    throw new StateFileError(`it has ${metadataBytes} bytes of metadata`);
  const start = begin + metadataBytes + METADATA_DIGEST_BYTES;
  if (start > image.length) throw new TornFileError('it ends too early');
  const metadata = image.toString('latin1', begin, begin + metadataBytes);
  if (!metadata.includes('"compression":"none"')) throw new StateFileError('it is compressed');
  const stream = new StateStream(new ChunkReader(image, start));
  while (!stream.read(visitor, rootType));
}

/**
 * Shows the objects of a file that has streams alone, and announces bytes of another file between them, such as `pages_meta.img`.
 * @throws StateFileError
 */
export function readStreams(image: Buffer, visitor: StateVisitor): void {
  const bytes = new ChunkReader(image);
  const stream = new StateStream(bytes);
  while (!bytes.isOver) {
    const count = bytes.streamHeader();
    if (count !== undefined) stream.readObjects(count, visitor);
  }
}

class StateStream {
  readonly #bytes: ChunkReader;
  #visitor: StateVisitor = { types: new Set() };
  #types: StructType[] = [];
  #level = 0;

  constructor(bytes: ChunkReader) {
    this.#bytes = bytes;
  }

  /** Reads one stream of objects. @returns whether it was the one with `rootType`. */
  read(visitor: StateVisitor, rootType: string): boolean {
    this.readObjects(this.#bytes.uint(), visitor);
    return this.#types.some((type) => type.name === rootType);
  }

  readObjects(count: number, visitor: StateVisitor): void {
    this.#visitor = visitor;
    this.#types = [];
    for (let objects = 0; objects < count; ) {
      const header = this.#bytes.uint();
      if (header === TYPE) {
        this.#types.push({ name: this.#bytes.text(), fields: this.#bytes.texts(this.#bytes.uint()) });
      } else if (header === UINT) {
        this.#object(this.#bytes.uint());
        objects++;
      } else
        throw new StateFileError(`${header} where a type or an object has to begin, at ${this.#bytes.at}`);
    }
  }

  #object(id: number): void {
    const header = this.#bytes.uint();
    if (header === MAP) {
      const map = this.#map();
      this.#visitor.onMap?.(id, map);
    } else if (header === STRUCT) {
      this.#shown((type, fields) => this.#visitor.onStruct?.(id, type, fields));
    } else this.#value(header);
  }

  /** Shows a struct if it is of one of the visitor's types. */
  #shown(show: (type: string, fields: Fields) => void): void {
    const type = this.#types[this.#bytes.uint() - 1];
    if (type && this.#visitor.types.has(type.name)) show(type.name, this.#fields(type));
    else this.#skipFields();
  }

  #fields(type: StructType | undefined): Fields {
    const fields = new Map<string, FieldValue>();
    this.#eachField((header, index) => {
      const value = this.#within(() => this.#fieldOf(header));
      const name = type?.fields[index];
      if (name !== undefined) fields.set(name, value);
    });
    return fields;
  }

  #skipFields(): void {
    this.#eachField((header) => void this.#value(header));
  }

  #eachField(read: (header: number, index: number) => void): void {
    const header = this.#bytes.uint();
    if (header === NO_OBJECTS) return;
    const isOne = header !== MULTIPLE_OBJECTS;
    const count = isOne ? 1 : this.#bytes.uint();
    for (let i = 0; i < count; i++) read(isOne ? header : this.#bytes.uint(), i);
  }

  #fieldOf(header: number): FieldValue {
    const offsets = [this.#bytes.at - 1];
    switch (header) {
      case UINT:
        return { kind: 'uint', value: this.#bytes.uint(offsets), offsets };
      case BOOL:
        return { kind: 'bool', value: this.#bytes.uint(offsets) !== 0, offsets };
      case REF:
        return this.#reference(offsets);
      case STRUCT:
        return { kind: 'struct', fields: this.#fields(this.#types[this.#bytes.uint() - 1]) };
      default:
        return this.#valueOf(header);
    }
  }

  #value(header: number): FieldValue {
    return this.#within(() => this.#valueOf(header));
  }

  #valueOf(header: number): FieldValue {
    switch (header) {
      case REF:
        return this.#reference();
      case MAP:
        return this.#map();
      case BOOL:
      case UINT:
      case INT:
      case FLOAT32:
      case FLOAT64:
        this.#bytes.uint();
        return SKIPPED;
      case NIL:
      case NO_OBJECTS:
        return SKIPPED;
      case STRING:
        this.#bytes.skip(this.#bytes.uint());
        return SKIPPED;
      case SLICE:
        this.#bytes.uint();
        this.#bytes.uint();
        this.#reference();
        return SKIPPED;
      case ARRAY:
        this.#array();
        return SKIPPED;
      case STRUCT:
        this.#bytes.uint();
        this.#skipFields();
        return SKIPPED;
      case INTERFACE:
        this.#typeSpec();
        this.#value(this.#bytes.uint());
        return SKIPPED;
      case COMPLEX64:
      case COMPLEX128:
        this.#bytes.uint();
        this.#bytes.uint();
        return SKIPPED;
      default:
        throw new StateFileError(`${header} where a value has to begin, at ${this.#bytes.at}`);
    }
  }

  /** All elements have the type of the first. Bytes are numbers as well, so the plain ones go fast. */
  #array(): void {
    const count = this.#bytes.uint();
    if (count === 0) return;
    const header = this.#bytes.uint();
    if (isEmpty(header)) return;
    if (header === UINT || header === INT || header === BOOL)
      for (let i = 0; i < count; i++) this.#bytes.uint();
    else for (let i = 0; i < count; i++) this.#element(header);
  }

  #element(header: number): void {
    if (header !== STRUCT) this.#value(header);
    else this.#within(() => this.#shown((type, fields) => this.#visitor.onElement?.(type, fields)));
  }

  #map(): ReferenceMap {
    const values: number[] = [];
    const count = this.#bytes.uint();
    let keyHeader = 0;
    let valueHeader = 0;
    for (let i = 0; i < count; i++) {
      if (i === 0) keyHeader = this.#bytes.uint();
      this.#value(keyHeader);
      if (i === 0) valueHeader = this.#bytes.uint();
      const value = this.#value(valueHeader);
      if (isEmpty(keyHeader) && isEmpty(valueHeader)) break;
      if (value.kind === 'reference') values.push(value.object);
    }
    return { kind: 'map', values };
  }

  /** Of one into another object's inside, the number of that object. */
  #reference(offsets?: number[]): Reference {
    const object = this.#bytes.uint(offsets);
    const steps = this.#bytes.uint(offsets);
    for (let i = 0; i < steps; i++) {
      const step = this.#bytes.uint();
      // Signed numbers are folded into unsigned ones: an odd one is ~(n >> 1), and minus a name's length.
      if (step % 2 === 1) this.#bytes.skip((step - 1) / 2 + 1);
    }
    if (steps > 0) this.#typeSpec();
    return { kind: 'reference', object, ...(offsets && steps === 0 && { offsets }) };
  }

  #typeSpec(): void {
    this.#within(() => this.#typeSpecOf(this.#bytes.uint()));
  }

  #typeSpecOf(header: number): void {
    switch (header) {
      case SPEC_ID:
        this.#bytes.uint();
        return;
      case SPEC_POINTER:
      case SPEC_SLICE:
        this.#typeSpec();
        return;
      case SPEC_ARRAY:
        this.#bytes.uint();
        this.#typeSpec();
        return;
      case SPEC_MAP:
        this.#typeSpec();
        this.#typeSpec();
        return;
      case SPEC_NIL:
        return;
      default:
        throw new StateFileError(`${header} where a type has to be named, at ${this.#bytes.at}`);
    }
  }

  /** Reads what is one level further in. */
  #within<T>(read: () => T): T {
    if (++this.#level > MOST_LEVELS)
      throw new StateFileError(`more than ${MOST_LEVELS} levels, at ${this.#bytes.at}`);
    const value = read();
    this.#level--;
    return value;
  }
}

/**
 * What a value's bytes are overwritten with to make it what its type has by itself: nothing, zero or false. Numbers are stored in bytes of
 * seven bits, of which the highest says whether more follow, and any number of them may be zero.
 */
export function nothingIn({ length }: Offsets): Buffer {
  const bytes = Buffer.alloc(length, 0x80);
  bytes[0] = 0x80 | NIL;
  bytes[length - 1] = length === 1 ? NIL : 0;
  return bytes;
}

/** Values without bytes of their own: any number of them fits into a file. */
function isEmpty(header: number): boolean {
  return header === NIL || header === NO_OBJECTS;
}
