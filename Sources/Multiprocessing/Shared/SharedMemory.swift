internal import CPlatform
import Glibc

/// A mapping of anonymous memory that processes share, and its descriptor, which travels to others.
///
/// It is gone with the last process that has it: nothing is left behind by any end. Everything but
/// the lock and the elements themselves never changes, so any thread may use it.
final class SharedMemory: Sendable {
  // reason: it is constant, and what its pointers lead to is used by accesses that any thread, of
  // any process, may make.
  private nonisolated(unsafe) let mapping: lido_shared_memory

  /// What it holds, by the name of a Swift type as it is written where it is declared. (A name with
  /// its context has an address in it if the type is private, which differs between processes.)
  static func name(of type: any Any.Type) -> String { String(describing: type) }

  /// The lock in it, nil if there is none.
  var lock: OpaquePointer? { mapping.lock }
  /// Which lock that is.
  var lockKind: lido_lock_kind { mapping.lock_kind }
  /// Where the elements are.
  var elements: UnsafeMutableRawPointer { mapping.elements }
  /// How many elements there are.
  var count: Int { Int(mapping.count) }

  /// Makes zeroed memory for `count` elements, and a lock.
  init<Element: BitwiseCopyable>(
    _ count: Int, of type: Element.Type, lock: lido_lock_kind
  ) throws(SystemCallError) {
    // Only what is whole becomes a property: an initializer that throws later runs `deinit`.
    var mapping = lido_shared_memory()
    mapping.count = count
    mapping.element_size = MemoryLayout<Element>.stride
    mapping.lock_kind = lock
    let failure = lido_shared_make(
      &mapping, "lido-shared", Self.name(of: type), MemoryLayout<Element>.alignment)
    guard failure == 0 else { throw SystemCallError("memfd_create", number: failure) }
    self.mapping = mapping
  }

  /// Makes a lock alone.
  static func lock(_ kind: lido_lock_kind) throws(LockError) -> SharedMemory {
    do throws(SystemCallError) {
      return try SharedMemory(0, of: UInt8.self, lock: kind)
    } catch {
      throw LockError(.system(error.number))
    }
  }

  /// Maps what came with the transfer under way, for a value of `owner`, a type's name.
  init(at place: Int, for owner: String) throws(TransferError) {
    try Self.checkOccasion(for: owner)
    var mapping = lido_shared_memory()
    mapping.descriptor = try DescriptorTransfer.take(place, of: owner)
    let failure = lido_shared_map(&mapping)
    guard failure == 0 else {
      close(mapping.descriptor)
      // What came is something else.
      throw TransferError(failure == EPROTOTYPE ? .missing : .system(failure), type: owner)
    }
    self.mapping = mapping
  }

  deinit { withUnsafePointer(to: mapping) { lido_shared_drop($0) } }

  /// Adds it to the transfer under way, for a value of `owner`, and says its place there.
  func add(for owner: String) throws(TransferError) -> Int {
    try Self.checkOccasion(for: owner)
    return try DescriptorTransfer.add(mapping.descriptor, of: owner, owner: self)
  }

  /// Nil if it holds elements of this type, and as many as `count`, if that is given; else a text
  /// that says what it holds.
  func mismatch<Element: BitwiseCopyable>(_ type: Element.Type, count: Int?) -> String? {
    let name = withUnsafePointer(to: mapping) { String(cString: lido_shared_type($0)) }
    let wanted = Self.name(of: type).utf8.prefix(Int(LIDO_SHARED_TYPE_BYTES) - 1)
    let isOfType =
      String(decoding: wanted, as: UTF8.self) == name
      && mapping.element_size == MemoryLayout<Element>.stride
    if isOfType, count == nil || count == self.count { return nil }
    return "it holds \(self.count) \(name) of \(mapping.element_size) bytes, instead of "
      + "\(count.map { "\($0) " } ?? "")\(Self.name(of: type)) of "
      + "\(MemoryLayout<Element>.stride) bytes"
  }

  /// Shared state is inherited at the start of a process, as in CPython: whoever gets it by a
  /// message could not know what else it is shared with.
  private static func checkOccasion(for owner: String) throws(TransferError) {
    if DescriptorTransfer.current?.occasion == .message {
      throw TransferError(.onlyAtStart, type: owner)
    }
  }
}
