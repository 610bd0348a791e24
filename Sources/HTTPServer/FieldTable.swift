/// The header names that matter, found by length first; made once per server.
///
/// It remembers the last value of each: the requests of a client are alike, and a value that came
/// before needs no new string.
final class FieldTable {
  /// What a name is to the server itself.
  enum Role { case none, host, contentLength, transferEncoding, authorization, requestID }

  /// One name: what it is for, and whether requests keep its value.
  struct Entry {
    let name: String
    let bytes: [UInt8]
    let role: Role
    let isKept: Bool
    /// Where the last value is remembered.
    let place: Int
  }

  private static let lengthMax = 64

  /// Entries by length of name; index 0 is unused.
  private let entriesByLength: [[Entry]]
  private var lastValues: [String] = []
  /// For each byte its lower case, or 0 where the byte is not allowed in a name (RFC 9110, 5.6.2).
  private let lower: [UInt8]

  /// Names must be in lower case and tokens; a programmer error otherwise.
  init(keeping kept: [String]) {
    precondition(kept.count <= 64, "at most 64 headers can be kept")
    // What is kept is remembered, and compared with what came before: no place for a secret.
    precondition(!kept.contains("authorization"), "credentials are for `admit`, and not kept")
    let lower = Self.lowerTable()
    var entries = [[Entry]](repeating: [], count: Self.lengthMax + 1)
    let roles: [(String, Role)] = [
      ("host", .host), ("content-length", .contentLength),
      ("transfer-encoding", .transferEncoding), ("authorization", .authorization),
      ("x-request-id", .requestID),
    ]
    let plain = kept.filter { name in !roles.contains { $0.0 == name } }
    for (name, role) in roles + plain.map({ ($0, Role.none) }) {
      let bytes = [UInt8](name.utf8)
      precondition((1...Self.lengthMax).contains(bytes.count), "header name of 1 to 64 bytes")
      precondition(bytes.allSatisfy { lower[Int($0)] == $0 }, "\(name) is no lower-case token")
      let isKept = role == .none || kept.contains(name)
      entries[bytes.count].append(
        Entry(name: name, bytes: bytes, role: role, isKept: isKept, place: lastValues.count))
      lastValues.append("")
    }
    entriesByLength = entries
    self.lower = lower
  }

  /// Calls `body` with the entry of a header name, if it is one that matters. `false` when the
  /// name is no token.
  @inline(__always)
  func find(_ name: UnsafeBufferPointer<UInt8>, _ body: (borrowing Entry) -> Void) -> Bool {
    lower.withUnsafeBufferPointer { lower in
      guard !name.isEmpty else { return false }
      for byte in name where lower[Int(byte)] == 0 { return false }
      guard name.count <= Self.lengthMax else { return true }
      for entry in entriesByLength[name.count] {
        let isEqual = entry.bytes.withUnsafeBufferPointer { bytes in
          for index in 0..<bytes.count where lower[Int(name[index])] != bytes[index] {
            return false
          }
          return true
        }
        if isEqual {
          body(entry)
          break
        }
      }
      return true
    }
  }

  /// The value of an entry as a string. Bytes that are no UTF-8 become U+FFFD.
  func string(_ value: UnsafeBufferPointer<UInt8>, of entry: borrowing Entry) -> String {
    let isLast = lastValues[entry.place].withUTF8 { last in
      last.count == value.count && last.elementsEqual(value)
    }
    if !isLast { lastValues[entry.place] = String(decoding: value, as: UTF8.self) }
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
