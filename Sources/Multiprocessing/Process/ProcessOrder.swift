internal import CPlatform
import Glibc
import JSON

/// What a child process that shares no memory with its parent is told: who it is and what it runs.
/// It comes in a file under descriptor 3; under 4 there is the sentinel of the parent, and from 5
/// on what its argument carries; or where `EntryPoint.number` tells.
struct ProcessOrder {
  static let parcelDescriptor: Int32 = 3
  static let parentDescriptor: Int32 = 4
  static let firstDescriptor: Int32 = 5

  var name: String
  var place: [UInt32]
  var isDaemon: Bool
  var startMethod: StartMethod
  var authenticationKey: [UInt8]
  var parentName: String
  var parentProcess: Int32
  /// Where the parent is.
  var workingFolder: String
  var descriptorCount: Int
  var task: String
  /// As JSON.
  var argument: [UInt8]

  /// As bytes, all numbers little-endian. Both ends are the same program.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(text: name)
    bytes.append(littleEndian: UInt32(place.count))
    for number in place { bytes.append(littleEndian: number) }
    bytes.append(isDaemon ? 1 : 0)
    bytes.append(text: startMethod.rawValue)
    bytes.append(littleEndian: UInt32(authenticationKey.count))
    bytes += authenticationKey
    bytes.append(text: parentName)
    bytes.append(littleEndian: parentProcess)
    bytes.append(text: workingFolder)
    bytes.append(littleEndian: UInt32(descriptorCount))
    bytes.append(text: task)
    bytes += argument
    return bytes
  }
}

extension ProcessOrder {
  /// Reads what `bytes` made; nil if it is anything else.
  init?(_ bytes: UnsafeRawBufferPointer) {
    var reader = PayloadReader(bytes)
    guard let name = reader.text(), let places = reader.number(UInt32.self) else { return nil }
    var place: [UInt32] = []
    for _ in 0..<places {
      guard let number = reader.number(UInt32.self) else { return nil }
      place.append(number)
    }
    guard let daemon = reader.number(UInt8.self),
      let method = reader.text().flatMap(StartMethod.init(rawValue:)),
      let keyLength = reader.number(UInt32.self), let key = reader.piece(Int(keyLength)),
      let parentName = reader.text(), let parent = reader.number(Int32.self),
      let folder = reader.text(),
      let descriptors = reader.number(UInt32.self), let task = reader.text()
    else { return nil }
    self.init(
      name: name, place: place, isDaemon: daemon == 1, startMethod: method,
      authenticationKey: Array(key), parentName: parentName, parentProcess: parent,
      workingFolder: folder, descriptorCount: Int(descriptors), task: task,
      argument: Array(reader.rest()))
  }

  /// Reads the whole of an order from the descriptor `parcel`, which it closes.
  static func receive(from parcel: Int32) -> ProcessOrder? {
    defer { close(parcel) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(parcel, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += piece[..<count]
    }
    return bytes.withUnsafeBytes { ProcessOrder($0) }
  }
}

extension [UInt8] {
  /// Appends a string with its length, four bytes, before it.
  mutating func append(text: String) {
    append(littleEndian: UInt32(text.utf8.count))
    append(utf8: text)
  }
}

extension PayloadReader {
  /// A string with its length, four bytes, before it.
  mutating func text() -> String? {
    guard let count = number(UInt32.self), let text = piece(Int(count)) else { return nil }
    return String(decoding: text, as: UTF8.self)
  }
}
