import Testing

@testable import Multiprocessing

@Suite struct ChildListTests {
  private final class Child {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  @Test func `children keep their order, whichever go`() {
    var list = ChildList<Child>()
    let children = (0..<20).map(Child.init)
    for child in children { list.append(child) }
    for gone in [0, 19, 7, 8, 1] {
      list.remove(children[gone])
      list.remove(children[gone])
    }
    let left = (0..<20).filter { ![0, 19, 7, 8, 1].contains($0) }
    #expect(list.all.map(\.number) == left)
    list.append(children[7])
    #expect(list.all.map(\.number) == left + [7])
  }

  @Test func `each child has its turn`() {
    var list = ChildList<Child>()
    #expect(list.takeTurn() == nil)
    for number in 0..<10 { list.append(Child(number)) }
    #expect(Set((0..<10).map { _ in list.takeTurn()?.number }) == Set(0..<10))
    // One that is removed takes no other's.
    for child in list.all.prefix(5) { list.remove(child) }
    #expect(Set((0..<5).map { _ in list.takeTurn()?.number }) == Set(5..<10))
  }
}
