"""A net with one hidden layer and batch statistics, for three classes of points."""

import csv

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.norm = nn.BatchNorm1d(8)
        self.out = nn.Linear(8, 3)

    def forward(self, points):
        return self.out(torch.relu(self.norm(self.hidden(points))))


def read_points(path):
    with open(path, newline="") as stream:  # noqa: PTH123 - as apps do
        rows = list(csv.DictReader(stream))
    points = torch.tensor([[float(row["x"]), float(row["z"])] for row in rows])
    return TensorDataset(points, torch.tensor([int(row["label"]) for row in rows]))


def train(net, data, epochs, rate):
    torch.manual_seed(7)
    net.train()
    optimiser = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    total = 0.0
    for _ in range(epochs):
        for points, labels in DataLoader(data, batch_size=8, shuffle=True):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(points), labels)
            loss.backward()
            optimiser.step()
            total += loss.item()
    return total


@torch.no_grad()
def test(net, data):
    net.eval()
    points, labels = data.tensors
    scores = net(points)
    right = (scores.argmax(dim=1) == labels).float().mean()
    return nn.functional.cross_entropy(scores, labels).item(), right.item()
