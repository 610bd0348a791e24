extension Shared {
  /// One value that processes share: CPython's `multiprocessing.Value`.
  ///
  ///     let counter = try Shared.Value<Int32>(0)
  ///     try counter.withLock { $0 += 1 }
  ///
  /// Each single reading and writing of `value` is under the lock; `value += 1` is two of them, so
  /// what others do in between is lost: use `withLock`. Any thread may call everything here.
  ///
  /// The type is one of `Shared.Scalar`, or any other that can be copied bit by bit and has no
  /// references, such as a structure of them.
  public final class Value<Contents: BitwiseCopyable & Sendable>: Codable, Sendable,
    CustomStringConvertible
  {
    private let storage: SharedStorage<Contents>

    /// A value in memory of its own. Throws `SharedError` with code `system` or `noMemory`.
    public init(_ initial: Contents, lock: SharedLock = .own) throws(SharedError) {
      storage = try SharedStorage(count: 1, lock: lock)
      storage.store(initial, 0)
    }

    private init(_ storage: SharedStorage<Contents>) {
      self.storage = storage
    }

    /// The value, read or written under the lock; without it while the calling thread holds it
    /// already, so there is no need to be afraid of using it in `lock.withLock { … }`.
    ///
    /// If a holder of the lock died, the next `withLock` or `acquire` will throw that: here the
    /// value is as the dead one left it.
    public var value: Contents {
      get { storage.access { storage.load(0) } }
      set { storage.access { storage.store(newValue, 0) } }
    }

    /// Changes the value while the calling thread holds the lock.
    ///
    /// `body` works on a copy, which is written back when it ends, by an error, too: a process that
    /// dies in it leaves the value of before. Throws what `ProcessLock.withLock` and `body` throw;
    /// `SharedError` with code `noLock` if there is no lock.
    public func withLock<Result>(_ body: (inout Contents) throws -> Result) throws -> Result {
      try storage.getLock().withLock {
        var contents = storage.load(0)
        defer { storage.store(contents, 0) }
        return try body(&contents)
      }
    }

    /// The lock; nil if it was made without one.
    public var lock: (any ProcessLock)? { storage.lock }

    /// The lock: `get_lock()` in CPython. Throws `SharedError` with code `noLock` if it was made
    /// without one.
    public func getLock() throws(SharedError) -> any ProcessLock { try storage.getLock() }

    /// The same value, without its lock: `get_obj()` in CPython.
    public func getObject() -> Value { Value(storage.unlocked) }

    public var description: String { "Shared.Value<\(Contents.self)>(\(value))" }

    /// Takes the value from the start of this process, with which it was handed on. Throws
    /// `TransferError` anywhere else, `DecodingError` if what came holds another type.
    public init(from decoder: any Decoder) throws {
      storage = try SharedStorage(from: decoder, count: 1, for: "Shared.Value")
    }

    /// Hands the value on to a process that is being started. Throws `TransferError` anywhere else.
    public func encode(to encoder: any Encoder) throws {
      try storage.encode(to: encoder, for: "Shared.Value")
    }
  }
}

extension Shared.Value where Contents: Shared.Scalar {
  /// A value of a type code of CPython. Throws `SharedError`: `badTypeCode` if there is no such
  /// code, `wrongType` if it is not of the value's type: `Shared.Value<Int32>(typeCode: "i", 7)`.
  public convenience init(
    typeCode: Character, _ initial: Contents, lock: SharedLock = .own
  ) throws(SharedError) {
    try Shared.TypeCode.check(typeCode, is: Contents.self)
    try self.init(initial, lock: lock)
  }
}

extension Shared.Value where Contents: FixedWidthInteger {
  /// A value that begins with the lowest bits of any integer, as it does without a word in CPython:
  /// `Shared.Value<Int8>(wrapping: 200)` is -56. Throws what the other initializer does.
  ///
  /// To change it like that use the operators that wrap (`&+=`), or `init(truncatingIfNeeded:)`.
  public convenience init(
    wrapping initial: some BinaryInteger, lock: SharedLock = .own
  ) throws(SharedError) {
    try self.init(Contents(truncatingIfNeeded: initial), lock: lock)
  }
}
