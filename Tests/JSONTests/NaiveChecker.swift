import JSON

/// A second opinion: the grammar of RFC 8259 spelled out rule by rule with recursion, as plain as
/// it gets, sharing nothing with the reader. It answers the minified text, or `nil` for what is to
/// be refused.
func minifiedNaively(_ bytes: [UInt8], depthMax: Int = 64) -> [UInt8]? {
  // The standard library knows what UTF-8 is.
  guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
  var checker = NaiveChecker(rest: bytes[...], depthMax: depthMax)
  checker.space()
  guard checker.value(depth: 0) else { return nil }
  checker.space()
  return checker.rest.isEmpty ? checker.output : nil
}

private struct NaiveChecker {
  var rest: ArraySlice<UInt8>
  var output: [UInt8] = []
  let depthMax: Int

  mutating func space() {
    while let byte = rest.first, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { rest.removeFirst() }
  }

  /// Takes the next byte if `isRight` says so.
  mutating func take(_ isRight: (UInt8) -> Bool) -> Bool {
    guard let byte = rest.first, isRight(byte) else { return false }
    output.append(rest.removeFirst())
    return true
  }

  mutating func take(_ character: Character) -> Bool { take { $0 == character.asciiValue } }

  mutating func take(_ word: String) -> Bool { word.allSatisfy { take($0) } }

  mutating func value(depth: Int) -> Bool {
    switch rest.first.map({ Character(Unicode.Scalar($0)) }) {
    case "{": return list("{", "}", depth: depth) { $0.member(depth: depth + 1) }
    case "[": return list("[", "]", depth: depth) { $0.value(depth: depth + 1) }
    case "\"": return string()
    case "t": return take("true")
    case "f": return take("false")
    case "n": return take("null")
    default: return number()
    }
  }

  mutating func list(
    _ opening: Character, _ closing: Character, depth: Int,
    item: (inout NaiveChecker) -> Bool
  ) -> Bool {
    guard depth < depthMax, take(opening) else { return false }
    space()
    if take(closing) { return true }
    while item(&self) {
      space()
      if take(closing) { return true }
      guard take(",") else { return false }
      space()
    }
    return false
  }

  mutating func member(depth: Int) -> Bool {
    guard string() else { return false }
    space()
    guard take(":") else { return false }
    space()
    return value(depth: depth)
  }

  mutating func string() -> Bool {
    guard take("\"") else { return false }
    while !take("\"") {
      if take("\\") {
        if take("u") {
          guard let unit = fourDigits() else { return false }
          if 0xDC00...0xDFFF ~= unit { return false }
          if 0xD800...0xDBFF ~= unit {
            guard take("\\u"), let low = fourDigits(), 0xDC00...0xDFFF ~= low else { return false }
          }
        } else if !take({ #""\/bfnrt"#.utf8.contains($0) }) {
          return false
        }
      } else if !take({ $0 >= 0x20 }) {
        return false
      }
    }
    return true
  }

  mutating func fourDigits() -> Int? {
    for _ in 0..<4 {
      guard take({ "0123456789abcdefABCDEF".utf8.contains($0) }) else { return nil }
    }
    return Int(String(decoding: output.suffix(4), as: UTF8.self), radix: 16)
  }

  mutating func number() -> Bool {
    _ = take("-")
    if !take("0") {
      guard take({ 0x31...0x39 ~= $0 }) else { return false }
      while digit() {}
    }
    if take(".") {
      guard digit() else { return false }
      while digit() {}
    }
    if take({ $0 == 0x65 || $0 == 0x45 }) {
      _ = take { $0 == 0x2B || $0 == 0x2D }
      guard digit() else { return false }
      while digit() {}
    }
    return true
  }

  mutating func digit() -> Bool { take { 0x30...0x39 ~= $0 } }
}

/// Reads the next value piece by piece with the pull reader and writes it anew: numbers as they
/// were written, strings decoded and escaped again.
func walked(_ reader: inout JSONReader) throws(JSONError) -> [UInt8] {
  var writer = JSONWriter()
  try walk(&reader, &writer)
  return writer.bytes
}

private func walk(_ reader: inout JSONReader, _ writer: inout JSONWriter) throws(JSONError) {
  switch try reader.kind() {
  case .object:
    writer.beginObject()
    try reader.beginObject()
    while let name = try reader.nextMember() {
      writer.name(name)
      try walk(&reader, &writer)
    }
    writer.endObject()
  case .array:
    writer.beginArray()
    try reader.beginArray()
    while try reader.nextElement() { try walk(&reader, &writer) }
    writer.endArray()
  case .string: writer.string(try reader.readString())
  case .number: writer.text(try reader.readNumberText())
  case .bool: writer.bool(try reader.readBool())
  case .null:
    try reader.readNull()
    writer.null()
  }
}
