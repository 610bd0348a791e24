import Glibc

/// The header names that matter, found by length first; made once per server.
///
/// It remembers the last value of each: the requests of a client are alike, and a value that came
/// before needs no new string.
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

  /// By length of name, and the index of the first entry of each length; 0 is unused.
  private let entries: [Entry]
  private let firstByLength: [Int]
  /// The names by place, and the bytes of all, one behind the other.
  private let names: [String]
  private let nameBytes: [UInt8]
  private var lastValues: [String]
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
    let plain = kept.filter { name in !roles.contains { $0.0 == name } }
    var entries: [Entry] = []
    var firstByLength = [0]
    var names: [String] = []
    var nameBytes: [UInt8] = []
    let all = (roles + plain.map { ($0, Role.none) }).sorted { $0.0.utf8.count < $1.0.utf8.count }
    for (name, role) in all {
      precondition((1...Self.lengthMax).contains(name.utf8.count), "header name of 1 to 64 bytes")
      precondition(
        name.utf8.allSatisfy { lower[Int($0)] == $0 }, "\(name) is no lower-case token")
      while firstByLength.count <= name.utf8.count { firstByLength.append(entries.count) }
      let isKept = role == .none || kept.contains(name)
      entries.append(
        Entry(role: role, isKept: isKept, place: names.count, start: nameBytes.count))
      names.append(name)
      nameBytes += name.utf8
    }
    while firstByLength.count <= Self.lengthMax + 1 { firstByLength.append(entries.count) }
    self.entries = entries
    self.firstByLength = firstByLength
    self.names = names
    self.nameBytes = nameBytes
    self.lower = lower
    lastValues = [String](repeating: "", count: names.count)
  }

  /// Calls `body` with the entry of a header name, if it is one that matters. `false` when the
  /// name is no token.
  @inline(__always)
  func find(_ name: UnsafeBufferPointer<UInt8>, _ body: (Entry) -> Void) -> Bool {
    lower.withUnsafeBufferPointer { lower in
      guard !name.isEmpty else { return false }
      let length = name.count <= Self.lengthMax ? name.count : 0
      for index in firstByLength[length]..<firstByLength[length + 1] {
        let entry = entries[index]
        let isEqual = nameBytes.withUnsafeBufferPointer { bytes in
          for index in 0..<name.count
          where lower[Int(name[index])] != bytes[entry.start + index] {
            return false
          }
          return true
        }
        // A name of the table is a token.
        if isEqual {
          body(entry)
          return true
        }
      }
      return name.allSatisfy { lower[Int($0)] != 0 }
    }
  }

  /// The name of an entry.
  func name(of entry: Entry) -> String { names[entry.place] }

  /// The value of an entry as a string; `nil` when it holds a control character other than the
  /// tab (RFC 9110, section 5.5). Bytes that are no UTF-8 become U+FFFD.
  func string(_ value: UnsafeBufferPointer<UInt8>, of entry: Entry) -> String? {
    let isLast = lastValues[entry.place].withUTF8 { last in
      guard last.count == value.count else { return false }
      guard let last = last.baseAddress, let start = value.baseAddress else { return true }
      return memcmp(last, start, value.count) == 0
    }
    if isLast { return lastValues[entry.place] }
    for byte in value where byte < 0x20 && byte != 0x09 || byte == 0x7F { return nil }
    lastValues[entry.place] = String(decoding: value, as: UTF8.self)
    return lastValues[entry.place]
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
