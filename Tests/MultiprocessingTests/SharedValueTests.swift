import Multiprocessing
import Testing

/// V1 to V4, A4 within one process; with several: `SharedScenarioTests`.
@Suite struct SharedValueTests {
  struct Point: Equatable {
    var x: Int32
    var y: Double
    var isSet: Bool
  }

  @Test func `V1 a value holds what it was given`() throws {
    let value = try Shared.Value<Int32>(7)
    #expect(value.value == 7)
    value.value = -7
    #expect(value.value == -7)
    value.value += 1
    #expect(value.value == -6)
    try value.withLock { $0 *= 2 }
    #expect(try value.withLock { $0 } == -12)
    #expect(value.description == "Shared.Value<Int32>(-12)")
  }

  @Test func `A4 a structure can be shared, and a copy is another one`() throws {
    let first = Point(x: 1, y: 2.5, isSet: true)
    let value = try Shared.Value(first)
    let copy = try Shared.Value(value.value, lock: .none)
    try value.withLock { $0.y = 3 }
    #expect(value.value == Point(x: 1, y: 3, isSet: true))
    #expect(copy.value == first)
  }

  @Test func `any size and alignment`() throws {
    try holds(SIMD64<Double>(repeating: 1.5), SIMD64<Double>(repeating: -1))
    try holds((UInt8(1), UInt8(2), UInt8(3)) as Three, (4, 5, 6)) { $0 == $1 }
    try holds(UInt8(1), 2)
    try holds(UInt16(1), 2)
    try holds(true, false)
    try holds((1.5, 2, 3) as ThreeNumbers, (4, 5, 6)) { $0 == $1 }
  }

  typealias Three = (UInt8, UInt8, UInt8)
  typealias ThreeNumbers = (Double, Int, Int8)

  private func holds<T: BitwiseCopyable & Sendable & Equatable>(_ first: T, _ second: T) throws {
    try holds(first, second, by: ==)
  }

  private func holds<T: BitwiseCopyable & Sendable>(
    _ first: T, _ second: T, by areEqual: (T, T) -> Bool
  ) throws {
    let value = try Shared.Value(first)
    #expect(areEqual(value.value, first))
    value.value = second
    #expect(areEqual(value.value, second))
    let array = try Shared.Array(repeating: first, count: 3)
    array[1] = second
    #expect(areEqual(array[0], first) && areEqual(array[1], second) && areEqual(array[2], first))
  }

  @Test func `V2, V3 a lock of its own, a given one, or none`() throws {
    let (lock, nested) = (try Lock(), try RLock())
    #expect(try Shared.Value(1).getLock() is RLock)
    #expect(try Shared.Value(1, lock: .shared(lock)).getLock() === lock)
    #expect(try Shared.Value(1, lock: .shared(nested)).lock === nested)
    let bare = try Shared.Value(1, lock: .none)
    #expect(bare.lock == nil)
    #expect(throws: SharedError(.noLock)) { try bare.getLock() }
    #expect(throws: SharedError(.noLock)) { try bare.withLock { $0 += 1 } }
    bare.value += 1
    #expect(bare.value == 2)
  }

  @Test func `V3 the object without its lock is the same memory`() throws {
    let value = try Shared.Value(1)
    let object = value.getObject()
    try value.getLock().withLock {
      // Another thread would wait for the value, and does not for the object.
      try inThread { object.value = 2 }
      #expect(value.value == 2)
    }
    #expect(object.lock == nil)
  }

  @Test func `each access is under the lock, and a holder is not kept out`() throws {
    for choice in [SharedLock.own, .shared(try Lock()), .shared(try RLock())] {
      let value = try Shared.Value(1, lock: choice)
      let lock = try value.getLock()
      try lock.acquire()
      let writer = try TestThread { value.value = 5 }
      // It cannot have been changed by a thread that waits.
      for _ in 0..<1000 { #expect(value.value == 1) }
      value.value = 2
      #expect(value.value == 2)
      try lock.release()
      try writer.join()
      #expect(value.value == 5)
      #expect(!lock.isLocked)
    }
  }

  struct Expected: Error, Equatable {}

  @Test func `what an error interrupts is written as far as it came`() throws {
    let value = try Shared.Value(1)
    #expect(throws: Expected()) {
      try value.withLock {
        $0 = 2
        throw Expected()
      }
    }
    #expect(value.value == 2)
    #expect(try !value.getLock().isLocked)
  }

  @Test func `integers wrap when asked to`() throws {
    #expect(try Shared.Value<Int8>(wrapping: 200).value == -56)
    #expect(try Shared.Value<UInt8>(wrapping: -1).value == 255)
    #expect(try Shared.Value<Int32>(wrapping: UInt64(1) << 31).value == -2_147_483_648)
    #expect(try Swift.Array(Shared.Array<Int8>(wrapping: [1, 200, -129])) == [1, -56, 127])
  }

  @Test func `V4 a type code that is none, or of another type`() throws {
    #expect(throws: SharedError(.badTypeCode("x"))) {
      try Shared.Value<Int32>(typeCode: "x", 1)
    }
    #expect(throws: SharedError(.badTypeCode("x"))) {
      try Shared.Array<Int32>(typeCode: "x", count: 3)
    }
    #expect(SharedError(.badTypeCode("x")).description.hasPrefix("bad typecode"))
    #expect(throws: SharedError(.wrongType("i", "Int32"))) { try Shared.Value(typeCode: "i", 1) }
    #expect(try Shared.Value<Int32>(typeCode: "i", 1).value == 1)
    #expect(try Shared.Value(typeCode: "d", 1.5).value == 1.5)
    #expect(try Shared.Value<UInt8>(typeCode: "c", 65).value == 65)
    #expect(try Shared.Array<Int16>(typeCode: "h", [1, 2]).elements == [1, 2])
  }

  @Test func `every type code has the size that it has in C`() throws {
    let sizes = Dictionary(
      uniqueKeysWithValues: Shared.TypeCode.allCases.map { ($0.rawValue, $0.size) })
    #expect(
      sizes == [
        "c": 1, "u": 4, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 8, "L": 8, "q": 8,
        "Q": 8, "f": 4, "d": 8,
      ])
    for code in Shared.TypeCode.allCases {
      #expect(try Shared.TypeCode(code.rawValue) == code)
      let back = code.type.sharedTypeCode
      #expect(back == code || (code, back) == (.char, .unsignedChar))
    }
  }
}
