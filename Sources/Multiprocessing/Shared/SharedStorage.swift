internal import CPlatform

/// Elements in shared memory, and the lock that guards them: what a value and an array stand on.
struct SharedStorage<Element: BitwiseCopyable & Sendable>: Sendable {
  /// Where the elements are, and the own lock, if there is one.
  let memory: SharedMemory
  /// What every access is under; nil for none.
  let lock: ProcessLock?

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

  private init(memory: SharedMemory, lock: ProcessLock?) {
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
  func getLock() throws(SharedError) -> ProcessLock {
    guard let lock else { throw SharedError(.noLock) }
    return lock
  }

  /// Does one access under the lock, if there is one. See `ProcessLock.guardAccess`.
  @inline(__always)
  func access<Result>(_ body: () -> Result) -> Result {
    guard let lock else { return body() }
    return lock.guardAccess(body)
  }

  /// The element at `index`, which must exist, read at once.
  func load(_ index: Int) -> Element {
    withUnsafeTemporaryAllocation(of: Element.self, capacity: 1) { copy in
      // reason: a capacity of 1 always has an address.
      let copy = copy.baseAddress!
      lido_shared_load(place(index), copy, MemoryLayout<Element>.size)
      return copy.pointee
    }
  }

  /// Replaces the element at `index`, which must exist, at once.
  func store(_ element: Element, _ index: Int) {
    withUnsafePointer(to: element) {
      lido_shared_store(place(index), $0, MemoryLayout<Element>.size)
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

  private static func lock(in memory: SharedMemory, _ decoder: any Decoder) throws -> ProcessLock {
    switch memory.lockKind {
    case LIDO_LOCK_PLAIN: return Lock(memory)
    case LIDO_LOCK_RECURSIVE: return RLock(memory)
    default:
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "what came has no lock"))
    }
  }
}
