internal import CPlatform

/// Elements in shared memory, and the lock that guards them: what a value and an array stand on.
struct SharedStorage<Element: BitwiseCopyable & Sendable>: Sendable {
  /// Where the elements are, and the own lock, if there is one.
  let memory: SharedMemory
  /// What every access is under; nil for none.
  let lock: (any ProcessLock)?

  /// Zeroed memory for `count` elements. Throws `negativeCount`, `noMemory` or `system`.
  init(count: Int, lock: SharedLock) throws(SharedError) {
    guard count >= 0 else { throw SharedError(.negativeCount(count)) }
    let isOwn = if case .own = lock { true } else { false }
    do throws(SystemCallError) {
      memory = try SharedMemory(
        count, of: Element.self, lock: isOwn ? LIDO_LOCK_RECURSIVE : LIDO_LOCK_NONE)
    } catch {
      throw SharedError(error)
    }
    self.lock =
      switch lock {
      case .own: RLock(memory)
      case .shared(let lock): lock
      case .none: nil
      }
  }

  private init(memory: SharedMemory, lock: (any ProcessLock)?) {
    self.memory = memory
    self.lock = lock
  }

  /// The same elements, without the lock.
  var unlocked: SharedStorage { SharedStorage(memory: memory, lock: nil) }

  /// The elements, for the time of one access.
  var elements: UnsafeMutableBufferPointer<Element> {
    UnsafeMutableBufferPointer(
      start: memory.elements.assumingMemoryBound(to: Element.self), count: memory.count)
  }

  /// The lock. Throws `noLock`.
  func getLock() throws(SharedError) -> any ProcessLock {
    guard let lock else { throw SharedError(.noLock) }
    return lock
  }

  /// Does one access under the lock, if there is one. See `ProcessLock.guardAccess`.
  @inline(__always)
  func access<Result>(_ body: () -> Result) -> Result {
    guard let lock else { return body() }
    return lock.guardAccess(body)
  }

  /// The element at `index`, which must exist; read in one access, if its size allows that.
  @inline(__always)
  func load(_ index: Int) -> Element {
    let place = place(index)
    return switch MemoryLayout<Element>.size {
    case 1: unsafeBitCast(lido_shared_load8(place), to: Element.self)
    case 2: unsafeBitCast(lido_shared_load16(place), to: Element.self)
    case 4: unsafeBitCast(lido_shared_load32(place), to: Element.self)
    case 8: unsafeBitCast(lido_shared_load64(place), to: Element.self)
    default: place.load(as: Element.self)
    }
  }

  /// Replaces the element at `index`, which must exist; likewise.
  @inline(__always)
  func store(_ element: Element, _ index: Int) {
    let place = place(index)
    switch MemoryLayout<Element>.size {
    case 1: lido_shared_store8(place, unsafeBitCast(element, to: UInt8.self))
    case 2: lido_shared_store16(place, unsafeBitCast(element, to: UInt16.self))
    case 4: lido_shared_store32(place, unsafeBitCast(element, to: UInt32.self))
    case 8: lido_shared_store64(place, unsafeBitCast(element, to: UInt64.self))
    default: place.storeBytes(of: element, as: Element.self)
    }
  }

  /// The elements of `range`, which must exist, in one access.
  func copy(_ range: Range<Int>) -> [Element] {
    [Element](unsafeUninitializedCapacity: range.count) { copy, count in
      count = range.count
      guard let start = copy.baseAddress else { return }
      let source = place(range.lowerBound).assumingMemoryBound(to: Element.self)
      access { start.initialize(from: source, count: range.count) }
    }
  }

  /// Replaces what follows `start`, which must exist, in one access.
  func replace(from start: Int, with elements: [Element]) {
    elements.withUnsafeBufferPointer { elements in
      guard let source = elements.baseAddress else { return }
      let target = place(start).assumingMemoryBound(to: Element.self)
      access { target.update(from: source, count: elements.count) }
    }
  }

  private func place(_ index: Int) -> UnsafeMutableRawPointer {
    memory.elements + index * MemoryLayout<Element>.stride
  }
}

extension SharedStorage {
  private enum Key: CodingKey {
    case memory, lock, isUnlocked
  }

  /// Hands the memory, and a lock that is not in it, on to a process that is being started.
  func encode(to encoder: any Encoder, for owner: String) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(SharedPlace(of: memory, for: owner), forKey: .memory)
    if let lock, lock.memory !== memory {
      try container.encode(SharedPlace(of: lock.memory, for: "Lock"), forKey: .lock)
    } else if lock == nil {
      try container.encode(true, forKey: .isUnlocked)
    }
  }

  /// Takes them from the start of this process. Throws `DecodingError` if what came holds other
  /// elements, or another number of them than `count`.
  init(from decoder: any Decoder, count: Int? = nil, for owner: String) throws {
    let container = try decoder.container(keyedBy: Key.self)
    memory = try container.decode(SharedPlace.self, forKey: .memory).memory(for: owner)
    if let text = memory.mismatch(Element.self, count: count) {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "what came is no \(owner): \(text)")
      )
    }
    if let place = try container.decodeIfPresent(SharedPlace.self, forKey: .lock) {
      lock = try Self.lock(in: place.memory(for: "Lock"), decoder)
    } else if try container.decodeIfPresent(Bool.self, forKey: .isUnlocked) == true {
      lock = nil
    } else {
      lock = try Self.lock(in: memory, decoder)
    }
  }

  private static func lock(in memory: SharedMemory, _ decoder: any Decoder) throws
    -> any ProcessLock
  {
    switch memory.lockKind {
    case LIDO_LOCK_PLAIN: return Lock(memory)
    case LIDO_LOCK_RECURSIVE: return RLock(memory)
    default:
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "what came has no lock"))
    }
  }
}
