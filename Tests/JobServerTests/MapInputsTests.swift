import JobCore
import Testing

@testable import JobServer

/// Which inputs a turn looks at.
@Suite struct MapInputsTests {
  private func input(chunkSize: Int? = nil) -> MapInput {
    MapInput(
      chunkSize: chunkSize, bufferSize: 4, lineBytesMax: 100, wait: 0,
      presentation: Presentation())
  }

  private let instant = Instant(nanoseconds: 1_000_000)

  private func take(_ text: String, _ input: MapInput) {
    Array(text.utf8).withUnsafeBytes { input.take($0, at: instant) }
  }

  @Test func `those that send nothing are not looked at`() {
    var inputs = MapInputs()
    let all = (0..<100).map { _ in input() }
    for (index, input) in all.enumerated() {
      inputs.add(input)
      input.open(MapNumber(index + 1), argumentBytesMax: nil, at: instant)
      inputs.open(input, MapNumber(index + 1))
    }
    #expect(inputs.takeDue(at: 0).count == 100)
    for input in all { inputs.settle(input) }
    #expect(!inputs.hasNews && inputs.nextFlush == nil)
    #expect(inputs.takeDue(at: .max).isEmpty)
    inputs.mark(all[7])
    inputs.mark(all[7])
    #expect(inputs.hasNews)
    #expect(inputs.takeDue(at: 0).map { $0 === all[7] } == [true])
    #expect(!inputs.hasNews)
  }

  @Test func `what waits for others is looked at when its moment has come, and once`() throws {
    var inputs = MapInputs()
    let input = input()
    inputs.add(input)
    input.open(1, argumentBytesMax: nil, at: instant)
    take("1\n", input)
    inputs.settle(input)
    let due = try #require(input.flushAt?.nanoseconds)
    #expect(inputs.nextFlush == due)
    #expect(inputs.takeDue(at: due - 1).isEmpty)
    #expect(inputs.takeDue(at: due).count == 1)
    input.close()
    inputs.settle(input)
    #expect(inputs.nextFlush == nil)
  }

  @Test func `before its map is there an input has no moment`() {
    var inputs = MapInputs()
    let input = input()
    inputs.add(input)
    take("1\n2\n", input)
    inputs.mark(input)
    #expect(inputs.takeDue(at: 0).count == 1)
    inputs.settle(input)
    #expect(inputs.nextFlush == nil && !inputs.hasNews)
  }

  @Test func `who waits for room waits in a line, and in one place`() {
    var inputs = MapInputs()
    let (one, other) = (input(), input())
    inputs.add(one)
    inputs.add(other)
    inputs.wait(one)
    inputs.wait(other)
    inputs.wait(one)
    #expect(inputs.popWaiting() === one)
    inputs.wait(one)
    #expect(inputs.popWaiting() === other)
    #expect(inputs.popWaiting() === one)
    #expect(inputs.popWaiting() == nil && !inputs.areSomeWaiting)
  }

  @Test func `one that is over is let go`() {
    var inputs = MapInputs()
    let input = input()
    inputs.add(input)
    input.open(5, argumentBytesMax: nil, at: instant)
    take("1\n", input)
    inputs.open(input, 5)
    inputs.settle(input)
    #expect(inputs[5] === input && inputs.first === input)
    input.isOver = true
    inputs.settle(input)
    #expect(inputs.isEmpty && inputs[5] == nil && inputs.nextFlush == nil)
  }
}
