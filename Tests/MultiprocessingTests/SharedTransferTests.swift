import Glibc
import Testing

@testable import Multiprocessing

/// Locks, values and arrays on their way to a process that is being started.
@Suite struct SharedTransferTests {
  /// What comes out at the other end; here in the same process, by another mapping.
  private func transferred<Value: Codable>(
    _ value: Value, _ occasion: DescriptorTransfer.Occasion = .start
  ) throws -> Value {
    try transferred(value, as: Value.self, occasion)
  }

  private func transferred<Value: Encodable, Other: Decodable>(
    _ value: Value, as other: Other.Type, _ occasion: DescriptorTransfer.Occasion = .start
  ) throws -> Other {
    let (sent, json) = try encoded(value, occasion)
    let copies = sent.descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
    return try DescriptorTransfer(occasion, received: copies).perform {
      try json.withUnsafeBufferPointer { try FoundationCodec.decode(Other.self, from: $0) }
    }
  }

  private func encoded(
    _ value: some Encodable, _ occasion: DescriptorTransfer.Occasion
  ) throws -> (DescriptorTransfer, [UInt8]) {
    let transfer = DescriptorTransfer(occasion)
    return (transfer, try transfer.perform { try FoundationCodec.encode(value) })
  }

  @Test func `a lock is the same lock at the other end`() throws {
    try isTransferred(try Lock())
    try isTransferred(try RLock())
  }

  private func isTransferred(_ lock: some ProcessLock & Codable) throws {
    let other = try transferred(lock)
    #expect(lock !== other)
    try lock.acquire()
    #expect(other.isLocked)
    #expect(try inThread { try other.acquire(block: false) } == false)
    // The same thread, so the same holder, whichever mapping it uses.
    try other.release()
    #expect(!lock.isLocked)
    try other.withLock { #expect(lock.isLocked) }
  }

  @Test func `levels of an RLock may be of several mappings`() throws {
    var lock: RLock? = try RLock()
    let other = try transferred(try #require(lock))
    try lock?.acquire()
    try other.acquire()
    try lock?.release()
    try other.release()
    #expect(!other.isLocked)
    // The mapping that a thread holds it by goes away: as if the thread had ended.
    try lock?.acquire()
    lock = nil
    #expect(throws: LockError(.lockOwnerDied, owner: getpid())) { try other.acquire() }
    try other.withLock {}
  }

  @Test func `a mapping that another thread holds stays for it`() throws {
    var lock: Lock? = try Lock()
    let other = try transferred(try #require(lock))
    let (holds, mayEnd) = (TestPipe(), TestPipe())
    // It keeps no reference to the lock, so that it can be dropped here.
    let unowned = Unmanaged.passUnretained(try #require(lock))
    let thread = try TestThread {
      try unowned._withUnsafeGuaranteedRef { _ = try $0.acquire() }
      holds.signal()
      mayEnd.wait()
    }
    holds.wait()
    lock = nil
    #expect(other.isLocked)
    mayEnd.signal()
    try thread.join()
    #expect(throws: LockError(.lockOwnerDied, owner: getpid())) {
      try other.acquire(timeout: .seconds(10))
    }
    #expect(try other.acquire(timeout: .seconds(10)))
  }

  @Test func `a value is the same memory at the other end`() throws {
    for lock in [SharedLock.own, .shared(try Lock()), .shared(try RLock())] {
      let value = try Shared.Value(1.5, lock: lock)
      let other = try transferred(value)
      other.value = 2.5
      #expect(value.value == 2.5)
      let (ours, theirs) = (try value.getLock(), try other.getLock())
      #expect(ours !== theirs && type(of: ours) == type(of: theirs))
      try ours.withLock { #expect(theirs.isLocked) }
      #expect(!theirs.isLocked)
    }
    let bare = try transferred(try Shared.Value(1, lock: .none))
    #expect(bare.lock == nil && bare.value == 1)
    #expect(try transferred(try Shared.Value(3).getObject()).lock == nil)
  }

  @Test func `an array is the same memory at the other end`() throws {
    let lock = try Lock()
    for choice in [SharedLock.own, .shared(lock), .none] {
      let array = try Shared.Array<Int16>([1, 2, 3], lock: choice)
      let other = try transferred(array)
      other[1] = 7
      #expect(array.elements == [1, 7, 3] && other.count == 3)
      #expect((other.lock == nil) == (array.lock == nil))
    }
    #expect(try transferred(try Shared.Array<UInt8>(count: 0)).count == 0)
  }

  struct Arguments: Codable {
    var lock: Lock
    var numbers: [Shared.Value<Int>]
  }

  @Test func `what shares a lock shares its descriptor`() throws {
    let lock = try Lock()
    let arguments = Arguments(
      lock: lock, numbers: try (0..<20).map { try Shared.Value($0, lock: .shared(lock)) })
    #expect(try encoded(arguments, .start).0.descriptors.count == 21)
    let other = try transferred(arguments)
    try other.lock.acquire()
    for number in other.numbers { #expect(try number.getLock().isLocked) }
    try other.lock.release()
    #expect(other.numbers.map(\.value) == Swift.Array(0..<20))
  }

  @Test func `a value's own lock can go without it`() throws {
    let value = try Shared.Value(1)
    let lock = try #require(try value.getLock() as? RLock)
    let other = try transferred(lock)
    try other.withLock { #expect(lock.isLocked) }
  }

  @Test func `only the start of a process takes them along`() throws {
    func refuses(_ value: some Codable, _ type: String) throws {
      #expect(throws: (any Error).self) { try FoundationCodec.encode(value) }
      let error = #expect(throws: (any Error).self) { try encoded(value, .message) }
      let text = "\(try #require(error))"
      #expect(text.contains("a \(type) can only be shared through inheritance"), "\(text)")
      let (sent, json) = try encoded(value, .start)
      func decode<V: Decodable>(_: V) throws {
        _ = try json.withUnsafeBufferPointer { try FoundationCodec.decode(V.self, from: $0) }
      }
      #expect(throws: (any Error).self) { try decode(value) }
      #expect(throws: (any Error).self) {
        try DescriptorTransfer(.message, received: sent.descriptors.map(dup)).perform {
          try decode(value)
        }
      }
    }
    try refuses(try Lock(), "Lock")
    try refuses(try RLock(), "RLock")
    try refuses(try Shared.Value(1), "Shared.Value")
    try refuses(try Shared.Value(1, lock: .shared(try Lock())), "Shared.Value")
    try refuses(try Shared.Array([1]), "Shared.Array")
  }

  @Test func `what came is not taken for anything else`() throws {
    func refuses<Other: Decodable>(_ value: some Encodable, as other: Other.Type) throws -> String {
      let error = #expect(throws: (any Error).self) { try transferred(value, as: other) }
      return "\(try #require(error))"
    }
    let value = try Shared.Value<Int32>(1)
    #expect(
      try refuses(value, as: Shared.Value<Double>.self).contains(
        "it holds 1 Int32 of 4 bytes, instead of 1 Double of 8 bytes"))
    _ = try refuses(value, as: Shared.Value<UInt32>.self)
    _ = try refuses(try Shared.Value(1), as: Shared.Value<Int64>.self)
    _ = try refuses(try Shared.Array([Int32](0...2)), as: Shared.Value<Int32>.self)
    _ = try refuses(try Shared.Array([1]), as: Shared.Array<UInt>.self)
    _ = try refuses(try Lock(), as: RLock.self)
    #expect(try refuses(try RLock(), as: Lock.self).contains("what came is no Lock"))
    _ = try refuses(value, as: Lock.self)
    #expect(try transferred(value, as: Shared.Array<Int32>.self).elements == [1])
  }

  @Test func `memory that is none of ours is refused`() throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let file = open("/dev/zero", O_RDWR)
    defer { close(file) }
    for descriptor in [ends[0], file] {
      let transfer = DescriptorTransfer(.start, received: [dup(descriptor)])
      let json = Swift.Array(#"{"descriptor":0}"#.utf8)
      #expect(throws: (any Error).self) {
        try transfer.perform {
          try json.withUnsafeBufferPointer { try FoundationCodec.decode(Lock.self, from: $0) }
        }
      }
    }
  }
}

/// Lets one thread wait for another.
final class TestPipe: Sendable {
  private let ends: [Int32]

  init() {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0, "pipe: \(errno)")
    self.ends = ends
  }

  deinit { for end in ends { close(end) } }

  func signal() { _ = write(ends[1], "x", 1) }

  func wait() {
    var byte: UInt8 = 0
    _ = read(ends[0], &byte, 1)
  }
}
