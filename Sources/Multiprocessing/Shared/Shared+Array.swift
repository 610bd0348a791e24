extension Shared {
  /// A number of values that processes share: CPython's `multiprocessing.Array`.
  ///
  ///     let numbers = try Shared.Array<Int32>(count: 10)
  ///     try numbers.withLock { numbers in
  ///       for index in numbers.indices { numbers[index] += 1 }
  ///     }
  ///
  /// Each single access is under the lock; what needs several belongs into `withLock`. An index out
  /// of range is the program's mistake and ends it, as with Swift's arrays; an index below 0 does
  /// not count from the end. Any thread may call everything here.
  ///
  /// If a holder of the lock died, the next `withLock` or `acquire` throws that; all other accesses
  /// show the elements as the dead one left them.
  public final class Array<Element: BitwiseCopyable & Sendable>: Sequence, Codable, Sendable,
    CustomStringConvertible
  {
    /// Where the elements are.
    let storage: SharedStorage<Element>

    /// `count` times the same element. Throws `SharedError`: `negativeCount`, `noMemory`, `system`.
    /// Memory that the system is short of only when it is used is not noticed here.
    public init(
      repeating element: Element, count: Int, lock: SharedLock = .own
    ) throws(SharedError) {
      storage = try SharedStorage(count: count, lock: lock)
      storage.elements.initialize(repeating: element)
    }

    /// The elements of a sequence, which must end. Throws `SharedError`: `noMemory`, `system`.
    public init(
      _ elements: some Sequence<Element>, lock: SharedLock = .own
    ) throws(SharedError) {
      let elements = [Element](elements)
      storage = try SharedStorage(count: elements.count, lock: lock)
      // Nobody else knows of the memory yet.
      storage.unlocked.replace(from: 0, with: elements)
    }

    fileprivate init(_ storage: SharedStorage<Element>) {
      self.storage = storage
    }

    /// How many elements there are, which never changes.
    public var count: Int { storage.memory.count }

    /// The indices of all elements.
    public var indices: Range<Int> { 0..<count }

    /// One element, which must exist.
    public subscript(index: Int) -> Element {
      get {
        precondition(indices.contains(index), "index \(index) of \(count) elements")
        return storage.access { storage.load(index) }
      }
      set {
        precondition(indices.contains(index), "index \(index) of \(count) elements")
        storage.access { storage.store(newValue, index) }
      }
    }

    /// The elements of a range, which must exist, in one access: a copy that begins at index 0. As
    /// many must be given as it has; see `replace(_:with:)`, which throws otherwise.
    public subscript(range: some RangeExpression<Int>) -> [Element] {
      get {
        storage.copy(within(range))
      }
      set {
        do {
          try replace(range, with: newValue)
        } catch {
          preconditionFailure(error.description)
        }
      }
    }

    /// Replaces the elements of a range, which must exist, in one access. Throws `SharedError` with
    /// code `wrongLength` unless there are as many.
    public func replace(
      _ range: some RangeExpression<Int>, with elements: some Collection<Element>
    ) throws(SharedError) {
      let range = within(range)
      guard elements.count == range.count else {
        throw SharedError(.wrongLength(elements.count, expected: range.count))
      }
      // The collection's own code does not run under the lock.
      storage.replace(from: range.lowerBound, with: [Element](elements))
    }

    private func within(_ range: some RangeExpression<Int>) -> Range<Int> {
      let range = range.relative(to: indices)
      precondition(
        range.lowerBound >= 0 && range.upperBound <= count, "range \(range) of \(count) elements")
      return range
    }

    /// Uses the elements while the calling thread holds the lock. Throws what `body` throws, and
    /// what `ProcessLock.withLock` does; `SharedError` with code `noLock` if there is no lock.
    public func withLock<Result>(
      _ body: (inout MutableSpan<Element>) throws -> Result
    ) throws -> Result {
      try storage.getLock().withLock {
        var elements = storage.elements.mutableSpan
        return try body(&elements)
      }
    }

    /// Uses the memory of the elements, under the lock if there is one. Throws as `withLock`, but
    /// not for want of a lock. The buffer must not be used after `body`.
    public func withUnsafeMutableBufferPointer<Result>(
      _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
    ) throws -> Result {
      guard let lock = storage.lock else { return try body(storage.elements) }
      return try lock.withLock { try body(storage.elements) }
    }

    /// All elements as they are at this moment; also by `Swift.Array(…)` and by `for … in`, which
    /// goes through a copy.
    public var elements: [Element] { self[0...] }

    public func makeIterator() -> IndexingIterator<[Element]> { elements.makeIterator() }

    /// The number of elements.
    public var underestimatedCount: Int { count }

    /// The lock; nil if it was made without one.
    public var lock: (any ProcessLock)? { storage.lock }

    /// The lock: `get_lock()` in CPython. Throws `SharedError` with code `noLock` if it was made
    /// without one.
    public func getLock() throws(SharedError) -> any ProcessLock { try storage.getLock() }

    /// The same elements, without their lock: `get_obj()` in CPython.
    public func getObject() -> Array { Array(storage.unlocked) }

    public var description: String { "Shared.Array<\(Element.self)>(\(elements))" }

    /// Takes the array from the start of this process, with which it was handed on. Throws
    /// `TransferError` anywhere else, `DecodingError` if what came holds another type.
    public init(from decoder: any Decoder) throws {
      storage = try SharedStorage(from: decoder, for: "Shared.Array")
    }

    /// Hands the array on to a process that is being started. Throws `TransferError` anywhere else.
    public func encode(to encoder: any Encoder) throws {
      try storage.encode(to: encoder, for: "Shared.Array")
    }
  }
}

extension Shared.Array where Element: Shared.Scalar {
  /// `count` zeroes. Throws `SharedError`: `negativeCount`, `noMemory`, `system`.
  public convenience init(count: Int, lock: SharedLock = .own) throws(SharedError) {
    self.init(try SharedStorage(count: count, lock: lock))
  }

  /// `count` zeroes of a type code of CPython. Throws `SharedError`: `badTypeCode` if there is no
  /// such code, `wrongType` if it is not of the array's type; `Shared.Array<Int32>(typeCode: "i",
  /// count: 10)`.
  public convenience init(
    typeCode: Character, count: Int, lock: SharedLock = .own
  ) throws(SharedError) {
    try Shared.TypeCode.check(typeCode, is: Element.self)
    try self.init(count: count, lock: lock)
  }

  /// The elements of a sequence, of a type code of CPython. Throws as the other.
  public convenience init(
    typeCode: Character, _ elements: some Sequence<Element>, lock: SharedLock = .own
  ) throws(SharedError) {
    try Shared.TypeCode.check(typeCode, is: Element.self)
    try self.init(elements, lock: lock)
  }
}

extension Shared.Array where Element: FixedWidthInteger {
  /// The lowest bits of any integers, as they are taken without a word in CPython:
  /// `Shared.Array<UInt8>(wrapping: [-1])` is 255. Throws what the other initializers do.
  public convenience init<Elements: Sequence>(
    wrapping elements: Elements, lock: SharedLock = .own
  ) throws(SharedError) where Elements.Element: BinaryInteger {
    try self.init(elements.lazy.map { Element(truncatingIfNeeded: $0) }, lock: lock)
  }
}
