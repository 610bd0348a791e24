import Multiprocessing
import Testing

/// A1 to A4 within one process; with several: `SharedScenarioTests`.
@Suite struct SharedArrayTests {
  @Test func `A1 length, index and ranges`() throws {
    for lock in [SharedLock.own, .shared(try Lock()), .shared(try RLock()), .none] {
      let array = try Shared.Array<Int32>([680, 626, 934, 821, 150], lock: lock)
      #expect(array.count == 5)
      #expect(array[0] == 680 && array[4] == 150)
      #expect(array[1..<3] == [626, 934])
      #expect(array[3...] == [821, 150])
      #expect(array[..<0] == [])
      array[2] = 1
      array[0...1] = [7, 8]
      #expect(Swift.Array(array) == [7, 8, 1, 821, 150])
      array[5...] = []
      try array.replace(1..<4, with: [1, 2, 3])
      #expect(array.elements == [7, 1, 2, 3, 150])
      #expect(array.reduce(0, +) == 163)
      #expect(array.description == "Shared.Array<Int32>([7, 1, 2, 3, 150])")
    }
  }

  @Test func `A1 a range is replaced by as many elements only`() throws {
    let array = try Shared.Array([1, 2, 3])
    #expect(throws: SharedError(.wrongLength(3, expected: 2))) {
      try array.replace(..<2, with: [7, 8, 9])
    }
    #expect(throws: SharedError(.wrongLength(0, expected: 1))) { try array.replace(2..., with: []) }
    #expect(array.elements == [1, 2, 3])
  }

  @Test func `A2 an array of a size is zeroed, also where another one was`() throws {
    for _ in 0..<3 {
      let array = try Shared.Array<Double>(count: 1000)
      #expect(array.allSatisfy { $0 == 0 })
      array[0...] = [Double](repeating: 1, count: 1000)
    }
    #expect(try Shared.Array(repeating: UInt8(9), count: 3).elements == [9, 9, 9])
    #expect(try Shared.Array<Unicode.Scalar>(count: 2).elements == ["\0", "\0"])
  }

  @Test func `A3 a lock of its own, a given one, or none`() throws {
    let lock = try Lock()
    #expect(try Shared.Array<Int>(count: 1).getLock() is RLock)
    #expect(try Shared.Array<Int>(count: 1, lock: .shared(lock)).getLock() === lock)
    let bare = try Shared.Array<Int>(count: 1, lock: .none)
    #expect(throws: SharedError(.noLock)) { try bare.getLock() }
    #expect(throws: SharedError(.noLock)) { try bare.withLock { _ in } }
    try bare.withUnsafeMutableBufferPointer { $0[0] = 4 }
    #expect(bare.elements == [4])
    let array = try Shared.Array([1, 2])
    array.getObject()[1] = 3
    #expect(array.elements == [1, 3])
    #expect(array.getObject().lock == nil)
  }

  @Test func `withLock changes several elements at once`() throws {
    let array = try Shared.Array(1...5)
    let threads = try (0..<2).map { _ in
      try TestThread {
        for _ in 0..<1000 {
          try array.withLock { elements in
            for index in elements.indices { elements[index] += 1 }
          }
        }
      }
    }
    for thread in threads { try thread.join() }
    #expect(array.elements == [2001, 2002, 2003, 2004, 2005])
    let lock = try array.getLock()
    #expect(try array.withUnsafeMutableBufferPointer { _ in lock.isLocked })
    #expect(!lock.isLocked)
  }

  @Test func `an empty array is one`() throws {
    let array = try Shared.Array<Int>(count: 0)
    #expect(array.count == 0 && array.elements == [] && array[0...] == [] && array[..<0] == [])
    try array.withLock { #expect($0.count == 0) }
    #expect(try Shared.Array([Double]()).elements.isEmpty)
  }

  @Test func `sizes that cannot be are refused`() throws {
    #expect(throws: SharedError(.negativeCount(-1))) { try Shared.Array<Int>(count: -1) }
    #expect(throws: SharedError(.noMemory)) { try Shared.Array<Int>(count: .max) }
    #expect(throws: SharedError(.noMemory)) { try Shared.Array<UInt8>(count: .max) }
    #expect(throws: SharedError(.noMemory)) { try Shared.Array<UInt8>(count: 1 << 60) }
    #expect(throws: SharedError(.noMemory)) { try Shared.Array<Int>(count: 1 << 45) }
    #expect(SharedError(.noMemory).description == "there is not that much memory to share")
  }

  @Test func `bytes have a value up to the first 0`() throws {
    let array = try Shared.Array<UInt8>(count: 5)
    #expect(array.value == [] && array.raw == [0, 0, 0, 0, 0])
    array.value = Swift.Array("hello".utf8)
    #expect(array.value == Swift.Array("hello".utf8))
    array.value = Swift.Array("ab".utf8)
    #expect(array.value == Swift.Array("ab".utf8))
    #expect(array.raw == Swift.Array("ab\0lo".utf8))
    array.raw = [1, 2, 3]
    #expect(array.raw == Swift.Array("\u{1}\u{2}\u{3}lo".utf8))
    array.value = []
    #expect(array.value == [] && array.raw[1] == 2)
  }

  @Test func `an index beyond the end ends the program`() async {
    await #expect(processExitsWith: .failure) { _ = try Shared.Array<Int>(count: 3)[3] }
    await #expect(processExitsWith: .failure) { _ = try Shared.Array<Int>(count: 3)[-1] }
    await #expect(processExitsWith: .failure) { try Shared.Array<Int>(count: 3)[1...5] = [1] }
    await #expect(processExitsWith: .failure) { try Shared.Array<Int>(count: 3)[0...1] = [1] }
    await #expect(processExitsWith: .failure) { try Shared.Array<UInt8>(count: 1).raw = [1, 2] }
  }
}
