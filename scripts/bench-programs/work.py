# What scripts do: calls, lists, dictionaries, strings, big and floating-point numbers.
def primes(limit):
    found = []
    for n in range(2, limit):
        if all(n % p for p in found if p * p <= n):
            found.append(n)
    return found


def words(count):
    seen = {}
    for i in range(count):
        word = "w%d" % (i * i % 997)
        seen[word] = seen.get(word, 0) + len(word)
    return sorted(seen.items(), key=lambda item: (-item[1], item[0]))


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def moved(self, dx, dy):
        return Point((self.x + dx) % 1.5, (self.y - dy) % 2.5)


point = Point(0.0, 1.0)
for step in range(60000):
    point = point.moved(step * 0.1, step * 0.7)
factorial = 1
for n in range(1, 800):
    factorial *= n
print(len(primes(9000)), words(60000)[:3], point.x, point.y, factorial % 1000000007)
