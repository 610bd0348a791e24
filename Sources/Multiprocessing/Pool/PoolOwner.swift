internal import CPlatform
import Glibc

/// The process that has made a pool, as its workers are to know it: their parent, of whose program
/// they are a part.
struct PoolOwner: Sendable {
  let name: String
  let process: Int32
  /// As set for the program; nil while nobody has set or asked for it.
  let startMethod: StartMethod?
  let authenticationKey: [UInt8]
  /// Readable once the process has ended.
  let sentinel: OwnedDescriptor

  /// The calling process.
  static func current() throws(SystemCallError) -> PoolOwner {
    let own = lido_open_self()
    guard own >= 0 else { throw SystemCallError("pidfd_open", number: errno) }
    let identity = ProgramRuntime.identity()
    return PoolOwner(
      name: identity.name, process: getpid(),
      startMethod: ProgramRuntime.state.withLock(\.startMethod),
      authenticationKey: identity.authenticationKey, sentinel: OwnedDescriptor(own))
  }
}

/// Its place in the setup frame; the sentinel goes another way.
extension PoolOwner {
  /// Reads what `append(_:)` wrote; nil if it is anything else.
  init?(_ reader: inout PayloadReader, sentinel: OwnedDescriptor) {
    guard let name = reader.text(), let process = reader.number(Int32.self),
      let method = reader.text(), let length = reader.number(UInt32.self),
      let key = reader.piece(Int(length))
    else { return nil }
    self.name = name
    self.process = process
    startMethod = StartMethod(rawValue: method)
    authenticationKey = Array(key)
    self.sentinel = sentinel
  }
}

extension [UInt8] {
  /// Appends an owner, without its sentinel.
  mutating func append(_ owner: PoolOwner) {
    append(text: owner.name)
    append(littleEndian: owner.process)
    append(text: owner.startMethod?.rawValue ?? "")
    append(littleEndian: UInt32(owner.authenticationKey.count))
    append(contentsOf: owner.authenticationKey)
  }
}
