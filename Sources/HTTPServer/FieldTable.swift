import Glibc

/// The header names that matter, found by length first; made once per server.
///
/// It remembers how each was spelt last, and its last value: the requests of a client are alike, so
/// that a name is found without a look at the case of its letters, and a value needs no new string.
final class FieldTable {
  /// What a name is to the server itself.
  enum Role { case none, host, contentLength, transferEncoding, authorization, requestID }

  /// One name: what it is for, and whether requests keep its value. It refers to nothing, so that
  /// to look at it counts no references.
  struct Entry {
    let role: Role
    let isKept: Bool
    /// Which name it is; where its last value is remembered.
    let place: Int
    /// Where its bytes begin among those of all names.
    fileprivate let start: Int
  }

  private static let lengthMax = 64
  /// Names that mean nothing here, and are no place for a secret: most clients send some of them,
  /// and a block with any other is not remembered (`HeaderMemory`).
  private static let harmless = [
    "accept", "accept-encoding", "accept-language", "connection", "user-agent",
  ]

  /// By length of name, and the index of the first entry of each length; 0 is unused.
  private let entries: [Entry]
  private let firstByLength: [Int]
  /// The bytes of all names, one behind the other.
  private let nameBytes: [UInt8]
  /// The same names at the same places, as clients spelt each of them last.
  private var spelt: [UInt8]
  /// The last header of each name.
  private var lastFields: [HTTPFields.Field]
  /// For each byte its lower case, or 0 where the byte is not allowed in a name (RFC 9110, 5.6.2).
  private let lower: [UInt8]

  /// Names must be in lower case and tokens; a programmer error otherwise.
  init(keeping kept: [String]) {
    precondition(kept.count <= 64, "at most 64 headers can be kept")
    // What is kept is remembered, and compared with what came before: no place for a secret.
    precondition(!kept.contains("authorization"), "credentials are for `admit`, and not kept")
    let lower = Self.lowerTable()
    let roles: [(String, Role)] = [
      ("host", .host), ("content-length", .contentLength),
      ("transfer-encoding", .transferEncoding), ("authorization", .authorization),
      ("x-request-id", .requestID),
    ]
    let plain = Set(kept).union(Self.harmless).filter { name in !roles.contains { $0.0 == name } }
    var entries: [Entry] = []
    var firstByLength = [0]
    var names: [String] = []
    var nameBytes: [UInt8] = []
    let all = (roles + plain.map { ($0, Role.none) }).sorted {
      ($0.0.utf8.count, $0.0) < ($1.0.utf8.count, $1.0)
    }
    for (name, role) in all {
      precondition((1...Self.lengthMax).contains(name.utf8.count), "header name of 1 to 64 bytes")
      precondition(
        name.utf8.allSatisfy { lower[Int($0)] == $0 }, "\(name) is no lower-case token")
      while firstByLength.count <= name.utf8.count { firstByLength.append(entries.count) }
      let isKept = kept.contains(name)
      entries.append(
        Entry(role: role, isKept: isKept, place: names.count, start: nameBytes.count))
      names.append(name)
      nameBytes += name.utf8
    }
    while firstByLength.count <= Self.lengthMax + 1 { firstByLength.append(entries.count) }
    self.entries = entries
    self.firstByLength = firstByLength
    self.nameBytes = nameBytes
    self.lower = lower
    spelt = nameBytes
    lastFields = names.map { HTTPFields.Field(name: $0, value: "") }
  }

  /// The entry of a header name, if it is one that matters.
  func entry(of name: UnsafeBufferPointer<UInt8>) -> Entry? {
    guard let start = name.baseAddress, name.count <= Self.lengthMax else { return nil }
    let candidates = firstByLength[name.count]..<firstByLength[name.count + 1]
    for index in candidates {
      let entry = entries[index]
      let isSpeltSo = spelt.withUnsafeBytes { bytes in
        bytes.baseAddress.map { memcmp($0 + entry.start, start, name.count) == 0 } ?? false
      }
      if isSpeltSo { return entry }
    }
    for index in candidates where isName(of: entries[index], name) {
      let start = entries[index].start
      spelt.replaceSubrange(start..<start + name.count, with: name)
      return entries[index]
    }
    return nil
  }

  private func isName(of entry: Entry, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
    for index in 0..<name.count
    where lower[Int(name[index])] != nameBytes[entry.start + index] {
      return false
    }
    return true
  }

  /// Whether a name is a token, as all names of the table are.
  func isToken(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
    !name.isEmpty && name.allSatisfy { lower[Int($0)] != 0 }
  }

  /// A header of an entry's name; `nil` when the value holds a control character other than the tab
  /// (RFC 9110, section 5.5). Bytes that are no UTF-8 become U+FFFD.
  func field(_ entry: Entry, _ value: UnsafeBufferPointer<UInt8>) -> HTTPFields.Field? {
    let isLast = lastFields[entry.place].value.withUTF8 { last in
      guard last.count == value.count else { return false }
      guard let last = last.baseAddress, let start = value.baseAddress else { return true }
      return memcmp(last, start, value.count) == 0
    }
    if isLast { return lastFields[entry.place] }
    for byte in value where byte < 0x20 && byte != 0x09 || byte == 0x7F { return nil }
    lastFields[entry.place].value = String(decoding: value, as: UTF8.self)
    return lastFields[entry.place]
  }

  private static func lowerTable() -> [UInt8] {
    var table = [UInt8](repeating: 0, count: 256)
    for byte in "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8 {
      table[Int(byte)] = byte
    }
    for byte in UInt8(ascii: "A")...UInt8(ascii: "Z") { table[Int(byte)] = byte | 0x20 }
    return table
  }
}
